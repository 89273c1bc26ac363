"""Many small calls to a file system at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_parallel(function: Callable[[A], B], items: Iterable[A], threads: int = 16) -> list[B]:
    """``[function(item) for item in items]`` in threads; the first exception is raised."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
