"""The measurements: medians of what alternating runs gave, and the files that they are told in."""

import csv
import statistics
from collections import defaultdict


def quantile(values, share):
    """The smallest value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def resolution(values):
    """The standard error of the median, as if the values were normal, from the quartiles, which an outlier does not move; None: too
    few to say."""
    count = len(values)
    if count < 3:
        return None
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    # The quartiles of few values are too near to each other: by about this.
    return 0.93 * (upper - lower) / count ** 0.5 / (1 - 1.05 / count)


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
