"""Seconds per phase of a task, added up over threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
PHASES = ("load", "read", "prepare", "forward", "write")


class Clock:
    """``with clock.phase("forward"): ...`` adds to ``clock.seconds["forward"]``."""

    def __init__(self, phases: Sequence[str] = PHASES) -> None:
        self.seconds = dict.fromkeys(phases, 0.0)
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begun)

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The `items`; making them is the phase `name`."""
        iterator = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def add(self, name: str, seconds: float) -> None:
        with self._lock:
            self.seconds[name] += seconds
