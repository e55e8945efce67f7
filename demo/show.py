"""What the demo prints: numbered steps, lists that stay short, and checks that are counted."""

import inspect
import os
import sys
import textwrap

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WIDTH = 100


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

    def step(self, title, why=""):
        self.step_number += 1
        self.title = f"{self.step_number}. {title}"
        print(f"\n{bold(self.title)}", flush=True)
        if why:
            print(textwrap.indent(dim(textwrap.fill(why, WIDTH - 3)), "   "))

    def line(self, label, text):
        print(f"   {label:<9} {text}", flush=True)

    def sql(self, *statements):
        for number, statement in enumerate(statements):
            for piece, line in enumerate(inspect.cleandoc(statement).splitlines()):
                self.line("sql" if number == piece == 0 else "", paint("36", line))

    def items(self, label, items, limit=6):
        """One item a line, the first ones only."""
        items = list(items)
        for number, item in enumerate(items[:limit]):
            self.line(label if number == 0 else "", item)
        if len(items) > limit:
            self.line("", dim(f"... and {len(items) - limit} more"))

    def check(self, true, claim, detail=""):
        if true:
            self.right += 1
            print(f"   {paint('32', '✓')} {claim}", flush=True)
        else:
            self.wrong.append(f"{self.title}: {claim}" + (f" ({detail})" if detail else ""))
            print(f"   {paint('31', '✗')} {claim}" + (f"\n     {detail}" if detail else ""), flush=True)
        return true

    def summary(self):
        print(f"\n{bold('Summary')}")
        for claim in self.wrong:
            print(f"   {paint('31', '✗')} {claim}")
        total = self.right + len(self.wrong)
        if self.wrong or not total:
            print(f"   {paint('31', f'{len(self.wrong)} of {total} checks went wrong')}")
        else:
            print(f"   {paint('32', f'✓ all {total} checks in {self.step_number} steps were right')}")
        return bool(total) and not self.wrong
