"""How fast a reducer adds buckets up, next to a copy of the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from mrmodel.training.buckets import add_up
from mrmodel.training.gradients import BUCKET_BYTES

TIMES = 15  # in a repeat; their median counts


@dataclass(frozen=True)
class Added:
    """Seconds to add up `nbytes` of buckets that come from `shards` shards, and to copy them."""

    shards: int
    nbytes: int
    add: float
    copy: float


def measure(shards: int, bucket_bytes: int = BUCKET_BYTES, times: int = TIMES) -> Added:
    """One repeat: adding and copying take turns."""
    random = np.random.default_rng(0)
    parts = [random.standard_normal(bucket_bytes // 4, dtype=np.float32) for _ in range(shards)]
    values = [b"<f4" + part.tobytes() for part in parts]
    sources = [np.frombuffer(value, np.uint8) for value in values]
    targets = [np.zeros_like(source) for source in sources]

    def copy() -> None:
        for target, source in zip(targets, sources, strict=True):
            np.copyto(target, source)

    seconds = [(_timed(lambda: add_up(values)), _timed(copy)) for _ in range(times)]
    add, copied = (median(column) for column in zip(*seconds, strict=True))
    return Added(shards, sum(map(len, values)), add, copied)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
