"""The measurements: medians of what alternating runs gave, and the files that they are told in."""

import csv
import statistics
from collections import defaultdict


def quantile(values, share):
    """The smallest value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def resolution(values):
    """The standard error of the median, as if the values were normal; None: too few to say."""
    if len(values) < 3:
        return None
    # The quartiles of few values say too little, and the deviation of very many is made by the outliers.
    if len(values) < 20:
        deviation = statistics.stdev(values)
    else:
        lower, _, upper = statistics.quantiles(values, n=4)
        deviation = (upper - lower) / 1.349
    return 1.253 * deviation / len(values) ** 0.5


class Figures:
    """By (workload, quantity, variant) the value of each round."""

    def __init__(self):
        self.rows = []
        self.values = defaultdict(dict)

    def add(self, workload, variant, round_number, quantity, value, unit):
        self.rows.append((workload, variant, round_number, quantity, value, unit))
        self.values[workload, quantity, variant][round_number] = value

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
