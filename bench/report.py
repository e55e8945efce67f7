"""The figures as a Markdown table and as a chart."""

import statistics
from html import escape

from figures import resolution
from variants import base_of

COLORS = {"none": "#9aa0a6", "floor": "#c3c7cb", "ours": "#1a73e8", "ours_listen": "#4f9cf7", "ours_off": "#8ab8f5",
          "ours_exact": "#12499c", "notify": "#e8710a", "tcn": "#f2a65a", "outbox": "#188038", "pgq": "#7cb98b", "wal2json": "#9334e6"}


def number(value):
    """Three digits that count."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def told(values):
    """The median, and how finely it is known."""
    error = resolution(values)
    return number(statistics.median(values)) + (f" ± {number(error)}" if error is not None else "")


def ratios(figures, workload, variant, quantity):
    """To no trigger in the same round."""
    if variant.name == base_of(variant):
        return []
    return figures.compared(workload.name, quantity, variant.name, base_of(variant), lambda own, base: own / base)


BESIDE = (("p99", "p99 {} ms"), ("rate", "at {}/s"), ("tps", "{} tx/s"), ("received", "{} messages/tx"), ("received of a row", "{} messages/row"),
          ("processor time of the machine", "{} µs of the machine"),
          ("processor time of the worker", "{} µs in the worker"), ("stolen", "{} s stolen"), ("WAL", "{} bytes of WAL"),
          ("WAL of a row", "{} bytes of WAL/row"), ("processor time of the worker, of a row", "{} µs in the worker/row"),
          ("commands to Redis", "{} Redis commands/tx"), ("memory of the worker", "{} MB in the worker"),
          ("memory of the worker, keys owed", "{} MB in the worker while they are owed"), ("memory of the backend", "{} MB in the backend"),
          ("memory of the consumer", "{} MB in the consumer"), ("taken and drained", "{} with taking them"),
          ("drained by the clock", "{} keys/s by the clock"), ("lag at the end", "{} s behind"))


def beside(figures, workload, variant):
    """What else was measured of it."""
    words = []
    for quantity, text in BESIDE:
        values = figures.all_of(workload.name, quantity, variant.name)
        if values and quantity != workload.quantity and any(values):
            words.append(text.format(told(values)))
            found = ratios(figures, workload, variant, quantity) if quantity == "tps" else []
            if found:
                words[-1] += f" ({told(found)} of no trigger)"
    return ", ".join(words)


def table(figures, workload, variants):
    lines = [f"### {workload.title}", "", f"| variant | {workload.quantity} ({workload.unit}) | to no trigger | aim | beside it |",
             "|---|--:|--:|--:|---|"]
    for variant in variants:
        values = figures.all_of(workload.name, workload.quantity, variant.name)
        if values:
            found = ratios(figures, workload, variant, workload.quantity)
            lines.append(f"| {variant.title} | {told(values)} | {told(found) if found else ''} | {workload.target.get(variant.name, '')} | "
                         f"{beside(figures, workload, variant)} |")
    return lines + [""] if len(lines) > 4 else []


def paired_table(figures, workload, variants):
    """Differences to no trigger, round by round: there the ratio says little."""
    lines = ["### What one transaction costs more than without a trigger", "",
             "| variant | backend (µs) | by the clock (µs) | WAL (bytes) | worker (µs) |", "|---|--:|--:|--:|--:|"]
    for variant in variants:
        def more(quantity, name=variant.name):
            return figures.compared(workload.name, quantity, name, "none", lambda own, base: own - base)
        backend = more("processor time of the backend")
        if backend and variant.name != "none":
            worker = figures.all_of(workload.name, "processor time of the worker", variant.name)
            lines.append(f"| {variant.title} | {told(backend)} | {told(more('time'))} | {told(more('WAL'))} | {told(worker)} |")
    return lines + [""] if len(lines) > 4 else []


def linear_table(figures, workload):
    lines = [f"### {workload.title}", "", "| keys | µs per key |", "|--:|--:|"]
    for keys in workload.keys:
        values = figures.all_of(workload.name, f"{keys} keys", "ours")
        if values:
            lines.append(f"| {keys} | {told(values)} |")
    return lines + [""] if len(lines) > 4 else []


def markdown(figures, workloads, variants, about):
    lines = ["# What invalidation costs", "", *about, ""]
    for workload in workloads:
        if workload.name == "paired":
            lines += paired_table(figures, workload, variants)
        elif workload.name == "linear":
            lines += linear_table(figures, workload)
        else:
            lines += table(figures, workload, variants)
    return "\n".join(lines)


def chart(figures, workloads, variants):
    """Bars of the ratios to no trigger, by workload."""
    bar, gap, width, left = 14, 18, 560, 250
    rows, y = [], 10
    for workload in workloads:
        bars = [(variant, ratios(figures, workload, variant, workload.quantity)) for variant in variants]
        bars = [(variant, statistics.median(found), resolution(found)) for variant, found in bars if found]
        if not bars or workload.unit not in ("transactions/s", "s"):
            continue
        rows.append(f'<text x="10" y="{y + 14}" font-weight="bold">{escape(workload.title)} '
                    f'({"less" if workload.unit == "s" else "more"} is better; no trigger is 1)</text>')
        y += 22
        most = max(1.0, *(value for _, value, _ in bars))
        for variant, value, error in bars:
            length = value / most * width
            rows.append(f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(variant.title)}</text>'
                        f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLORS.get(variant.name, "#666")}"/>'
                        f'<text x="{left + length + 5:.1f}" y="{y + 11}">{value:.2f}{"" if error is None else f" ± {error:.2f}"}</text>')
            y += bar
        line = left + width / most
        rows.append(f'<line x1="{line:.1f}" y1="{y - bar * len(bars) - 2}" x2="{line:.1f}" y2="{y}" stroke="#000" stroke-dasharray="2,2"/>')
        y += gap
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{y}" font-family="sans-serif" font-size="11">'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(rows)}</svg>\n')
