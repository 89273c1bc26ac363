"""How many rows go through the model at once.

``auto`` doubles the batch while that makes the model clearly faster (measured in the first
batches of the job itself) and stays with the best; out of memory halves it for good. Batches that
take no time to speak of are doubled anyway: what lies around them costs more than they do, and
their rates are noise.
"""

from __future__ import annotations

START = 16
LARGEST = 8192
GAIN = 1.05  # a doubling that brings less is not worth its memory
SHORT = 0.01  # seconds
TRIALS = 2  # counted batches per size; the first batch of a size warms caches up


class BatchSizer:
    """The current batch size, ``rows``, and how it changes. ``settled`` says it will not grow."""

    def __init__(self, setting: str | int, remembered: int | None = None):
        self.auto = setting == "auto"
        self.rows = (remembered or START) if self.auto else int(setting)
        self.settled = not self.auto or remembered is not None
        self.changed = False  # since it was remembered
        self._ceiling = LARGEST
        self._best: tuple[float, int] = (0.0, self.rows)
        self._begin_trial()

    def record(self, rows: int, cost: float, seconds: float) -> None:
        """A batch of `rows` rows, of total `cost` (rows, or what the model's size() counts), took
        `seconds`."""
        if self.settled or rows != self.rows:
            return
        self._batches += 1
        if self._batches > 1:
            # what else the machine does only makes a batch slower: the best is the truest
            self._rate = max(self._rate, cost / max(seconds, 1e-9))
            self._shortest = min(self._shortest, seconds)
        if self._batches > TRIALS:
            self._judge()

    def shrink(self, failed_rows: int) -> None:
        """A batch of `failed_rows` rows did not fit the memory."""
        self.rows = max(1, min(self.rows, failed_rows // 2))
        self._ceiling = self.rows
        self.settled = self.changed = True

    def _judge(self) -> None:
        best_rate, best_rows = self._best
        better = self._rate > best_rate * GAIN or self._shortest < SHORT
        if better and self.rows < self._ceiling:
            self._best = (self._rate, self.rows)
            self.rows *= 2
        else:
            self.rows = self.rows if better or self._rate > best_rate else best_rows
            self.settled = self.changed = True
        self._begin_trial()

    def _begin_trial(self) -> None:
        self._batches, self._rate, self._shortest = 0, 0.0, float("inf")
