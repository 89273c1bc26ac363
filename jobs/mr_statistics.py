"""Statistics of the columns of JSON lines, in one pass: `python jobs/mr_statistics.py rows.jsonl`.

Quantiles are those of a uniform sample: exact up to SAMPLE numbers, then all within 2.2 % of the
ranks in 95 of 100 cases (Dvoretzky-Kiefer-Wolfowitz). A missing key is no null; ddof is 0.
"""

import json
from collections import defaultdict
from itertools import chain, islice
from random import Random

import numpy as np
from mrjob.compat import jobconf_from_env
from mrjob.job import MRJob

SAMPLE, QUANTILES = 4000, (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def part_of(value, priority):
    """[nulls, moments, sample] of one value; a column's are the merged ones of its values."""
    numbers = [value] if type(value) in (int, float) else []
    return int(value is None), [(1, n, 0, n, n) for n in numbers], [(priority, n) for n in numbers]


def merge(parts):
    """Parts as one. Means and variances as in Chan, Golub, LeVeque 1979: no sums of squares."""
    nulls, moments, samples = zip(*parts, strict=True)
    if moments := list(chain(*moments)):
        counts, means, variances, lows, highs = np.array(moments, dtype=float).T
        mean = means[0] + np.average(means - means[0], weights=counts)
        variance = np.average(variances + (means - mean) ** 2, weights=counts)
        moments = [(int(counts.sum()), mean, variance, lows.min(), highs.max())]
    return sum(nulls), moments, sorted(chain(*samples))[:SAMPLE]


class MRStatistics(MRJob):
    def map_pairs(self, pairs, step_num=0):
        """Batches of lines. A split draws the same sample in each run, no two splits draw alike."""
        split = [jobconf_from_env(f"mapreduce.map.input.{name}") for name in ("file", "start")]
        columns, draw = defaultdict(list), Random(str(split)).random
        while rows := [json.loads(line) for _, line in islice(pairs, 1024)]:
            for column, value in chain(*map(dict.items, rows)):
                columns[column].append(part_of(value, draw()))
            for parts in columns.values():
                parts[:] = [merge(parts)]
        yield from ((column, part) for column, (part,) in columns.items())

    def reducer(self, column, parts):
        nulls, moments, sample = merge(sorted(parts))
        result = {"nulls": nulls, "count": 0}
        if moments:
            result |= zip(("count", "mean", "variance", "min", "max"), *moments, strict=True)
            values = np.quantile([value for _, value in sample], QUANTILES)
            result["quantiles"] = dict(zip(QUANTILES, values, strict=True))
        yield column, result


if __name__ == "__main__":
    MRStatistics.run()
