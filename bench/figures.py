"""The measurements: medians of what alternating runs gave, and the files that they are told in."""

import csv
import statistics
from collections import defaultdict


def quantile(values, share):
    """The smallest value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values):
    """Half the distance of the quartiles, as a share of the median: how finely the runs resolve."""
    middle = statistics.median(values)
    if len(values) < 2 or middle == 0:
        return float("nan")
    return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / middle


class Figures:
    """By (workload, quantity, variant) the value of each round."""

    def __init__(self):
        self.rows = []
        self.values = defaultdict(dict)

    def add(self, workload, variant, round_number, quantity, value, unit):
        self.rows.append((workload, variant, round_number, quantity, value, unit))
        self.values[workload, quantity, variant][round_number] = value

    def median(self, workload, quantity, variant):
        values = list(self.values.get((workload, quantity, variant), {}).values())
        return statistics.median(values) if values else None

    def all_of(self, workload, quantity, variant):
        return list(self.values.get((workload, quantity, variant), {}).values())

    def compared(self, workload, quantity, variant, base, combine):
        """What `combine` makes of the variant's value and the base's, in each round that has both."""
        own = self.values.get((workload, quantity, variant), {})
        other = self.values.get((workload, quantity, base), {})
        return [combine(own[n], other[n]) for n in own if n in other]

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("workload", "variant", "round", "quantity", "value", "unit"))
            writer.writerows(self.rows)
