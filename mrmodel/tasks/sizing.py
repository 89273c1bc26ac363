"""How much goes through the model at once.

The bound of a batch is a number of rows, or, where the model says what each row costs, a cost: that
of the batch's most expensive row times its rows, which is what padding makes of it. Short rows then
go through in larger batches than long ones.

``auto`` doubles the bound while that makes the model clearly faster (measured in the first batches
of the job itself) and stays with the best; out of memory halves it for good. Batches that take no
time to speak of are doubled anyway: what lies around them costs more than they do, and their rates
are noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

START = 16  # rows
START_BY_COST = 4  # of the most expensive rows there are: on CPUs more is often slower
LARGEST = 8192  # rows
GAIN = 1.05  # a doubling that brings less is not worth its memory
SHORT = 0.01  # seconds
TRIALS = 2  # counted batches per bound; the first batch of a bound warms caches up


class BatchSizer:
    """The current bound, ``limit``, and how it changes. ``settled`` says it will not grow. With
    `by_cost` it is one of cost (0 until the first costs are known), unless `setting` is a number of
    rows; `remembered` is a bound that was found before. `afterwards` is told, as ``record`` is, of
    the batches that follow."""

    def __init__(
        self,
        setting: str | int,
        remembered: float | None = None,
        by_cost: bool = False,
        afterwards: Callable[[float, float], None] = lambda cost, seconds: None,
    ):
        self.auto = setting == "auto"
        self._afterwards = afterwards
        self.by_cost = by_cost and self.auto
        begin = 0 if self.by_cost else START
        self.limit: float = (remembered or begin) if self.auto else int(setting)
        self.settled = not self.auto or remembered is not None
        self.changed = False  # since it was remembered
        self.rows = START_BY_COST if self.by_cost else int(self.limit)
        self._ceiling: float = float("inf") if self.by_cost else LARGEST
        self._best: tuple[float, float] = (0.0, self.limit)
        self._begin_trial()

    def cut(self, begin: int, end: int, sizes: np.ndarray | None) -> int:
        """Where the batch ends that begins at `begin`; `end` is that of the rows there are.
        `sizes` are their costs, the largest first, where they are known."""
        if self.by_cost and sizes is not None:
            largest = float(sizes[begin])
            self.limit = self.limit or START_BY_COST * max(largest, 1.0)
            self.rows = int(min(max(self.limit // max(largest, 1e-9), 1), LARGEST))
        return min(begin + self.rows, end)

    def is_full(self, rows: int) -> bool:
        """Whether a batch of so many rows, just cut, is what the bound allows: not the last of a
        window, nor one that was prepared for another bound."""
        return rows == self.rows

    def record(self, cost: float, seconds: float) -> None:
        """A full batch of total `cost` (rows, where nobody says what they cost) took `seconds`."""
        if self.settled:
            self._afterwards(cost, seconds)
            return
        self._batches += 1
        if self._batches > 1:
            # what else the machine does only makes a batch slower: the best is the truest
            self._rate = max(self._rate, cost / max(seconds, 1e-9))
            self._shortest = min(self._shortest, seconds)
        if self._batches > TRIALS:
            self._judge()

    def shrink(self, rows: int) -> None:
        """A batch of `rows` rows, more than one, did not fit the memory."""
        share = min(self.rows, rows) / (2 * self.rows)
        self.rows = max(1, min(self.rows, rows // 2))
        self.limit = self._ceiling = self.limit * share if self.by_cost else self.rows
        self.settled = self.changed = True

    def _judge(self) -> None:
        best_rate, best = self._best
        better = self._rate > best_rate * GAIN or self._shortest < SHORT
        if better and self.limit < self._ceiling and self.rows < LARGEST:
            self._best = (self._rate, self.limit)
            self._set(self.limit * 2)
        else:
            self._set(self.limit if better or self._rate > best_rate else best)
            self.settled = self.changed = True
        self._begin_trial()

    def _set(self, limit: float) -> None:
        self.limit = limit
        if not self.by_cost:
            self.rows = int(limit)

    def _begin_trial(self) -> None:
        self._batches, self._rate, self._shortest = 0, 0.0, float("inf")
