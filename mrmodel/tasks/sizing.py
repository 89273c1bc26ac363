"""How many rows go through the model at once.

``auto`` doubles the batch while that makes the model clearly faster (measured in the first
batches of the job itself) and stays with the best; out of memory halves it for good.
"""

from __future__ import annotations

START = 16
LARGEST = 8192
GAIN = 1.05  # a doubling that brings less is not worth its memory
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
            self._cost += cost
            self._seconds += seconds
        if self._batches > TRIALS:
            self._judge(self._cost / max(self._seconds, 1e-9))

    def shrink(self, failed_rows: int) -> None:
        """A batch of `failed_rows` rows did not fit the memory."""
        self.rows = max(1, min(self.rows, failed_rows // 2))
        self._ceiling = self.rows
        self.settled = self.changed = True

    def _judge(self, rate: float) -> None:
        best_rate, best_rows = self._best
        if rate > best_rate * GAIN and self.rows < self._ceiling:
            self._best = (rate, self.rows)
            self.rows *= 2
        else:
            self.rows = best_rows if best_rate >= rate else self.rows
            self.settled = self.changed = True
        self._begin_trial()

    def _begin_trial(self) -> None:
        self._batches, self._cost, self._seconds = 0, 0.0, 0.0
