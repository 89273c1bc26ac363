"""With how many of torch's threads a task predicts: found by trial, in batches of the job itself.

Small models, and operations that do not share their work, gain nothing from more threads, while
reading, preparing and writing need cores, too. Neighbouring batches run in turns with the threads
that were found so far and with half as many; these are kept where they are as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch

TURNS = 4  # batches with each number of threads
AS_FAST = 0.97  # what else the machine does is noise; fewer threads leave it cores


class ThreadTrial:
    """`threads` is what was found so far, at most `most`; `settled` says that nothing else will be
    tried, as from the beginning where `most` was `asked` for. `use` sets a number for the thread
    that predicts."""

    def __init__(
        self,
        most: int,
        use: Callable[[int], None] = torch.set_num_threads,
        asked: bool = False,
    ):
        self.threads = most
        self._use = use
        self._fewer = 0 if asked else most // 2
        self._rates: dict[int, list[float]] = {}

    @property
    def settled(self) -> bool:
        return self._fewer < 1

    def record(self, cost: float, seconds: float) -> None:
        """A full batch of total `cost` took `seconds`, with the threads that were set last."""
        if self.settled:
            return
        fewer, usual = (self._rates.setdefault(n, []) for n in (self._fewer, self.threads))
        turn = fewer if len(fewer) < len(usual) else usual
        turn.append(cost / max(seconds, 1e-9))
        if len(fewer) == TURNS:
            self._judge(median(fewer), median(usual))
        elif not self.settled:
            self._use(self._fewer if len(fewer) < len(usual) else self.threads)

    def _judge(self, fewer: float, usual: float) -> None:
        if fewer >= AS_FAST * usual:
            self.threads, self._fewer = self._fewer, self._fewer // 2
        else:
            self._fewer = 0
        self._rates = {}
        self._use(self.threads)
