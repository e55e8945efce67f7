"""What the demo prints: numbered steps, lists that stay short, and checks that are counted."""

import inspect
import os
import sys
import textwrap
import time

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
WIDTH = 100
MARGIN = 12
RIGHT, WRONG = "✓", "✗"
try:
    (RIGHT + WRONG).encode(sys.stdout.encoding)
except UnicodeEncodeError:
    RIGHT, WRONG = "ok", "WRONG"
sys.stdout.reconfigure(errors="replace")


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def bold(text):
    return paint("1", text)


def dim(text):
    return paint("2", text)


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"


class Show:
    def __init__(self):
        self.step_number = 0
        self.title = ""
        self.right, self.wrong = 0, []
        self.started = time.perf_counter()

    def step(self, title, why=""):
        self.step_number += 1
        self.title = f"{self.step_number}. {title}"
        print(f"\n{bold(self.title)}", flush=True)
        for line in textwrap.wrap(why, WIDTH - 3):
            print(f"   {dim(line)}")

    def line(self, label, text):
        print(f"   {label:<{MARGIN - 4}} {text}", flush=True)

    def sql(self, *statements):
        label = "sql"
        for statement in statements:
            for line in f"{inspect.cleandoc(statement)};".splitlines():
                self.line(label, paint("36", line))
                label = ""

    def timed(self, label, items, limit=6):
        """Items of (seconds, text), one a line, the first ones only."""
        items = list(items)
        for number, (seconds, text) in enumerate(items[:limit]):
            self.line(label if number == 0 else "", f"{milliseconds(seconds):>8}  {text}")
        if len(items) > limit:
            last = max(seconds for seconds, _ in items)
            self.line("", f"{'...':>8}  " + dim(f"and {len(items) - limit} more, the last after {milliseconds(last)}"))

    def table(self, rows):
        """Rows (dictionaries) below the names of their columns."""
        cells = [list(rows[0])] + [["" if v is None else str(v) for v in row.values()] for row in rows] if rows else []
        widths = [max(map(len, column)) for column in zip(*cells)]
        for number, row in enumerate(cells):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            self.line("", dim(text) if number == 0 else text)

    def check(self, true, claim, detail=""):
        if true:
            self.right += 1
            print(f"   {paint('32', RIGHT)} {claim}", flush=True)
        else:
            self.wrong.append(f"{self.title}: {claim}" + (f" ({detail})" if detail else ""))
            print(f"   {paint('31', WRONG)} {claim}" + (f"\n     {detail}" if detail else ""), flush=True)
        return true

    def summary(self):
        print(f"\n{bold(f'Summary, after {time.perf_counter() - self.started:.1f} seconds')}")
        for claim in self.wrong:
            print(f"   {paint('31', WRONG)} {claim}")
        total = self.right + len(self.wrong)
        if self.wrong or not total:
            print(f"   {paint('31', f'{len(self.wrong)} of {total} checks went wrong')}")
        else:
            print(f"   {paint('32', f'{RIGHT} all {total} checks in {self.step_number} steps were right')}")
        return bool(total) and not self.wrong
