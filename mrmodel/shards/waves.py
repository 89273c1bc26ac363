"""How large shards should be for the containers that a cluster has.

Tasks run in waves, as many at once as there are containers. A last wave with few tasks leaves most
of the cluster idle, so of the sizes that tasks may have the largest is taken with which all
containers are busy to the end, or nearly.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mrmodel.shards.cutting import work
from mrmodel.shards.hadoop import FREE, aligned
from mrmodel.shards.plan import Source
from mrmodel.shards.shard import Shard
from mrmodel.units import USUAL_SHARD, duration, format_size

FULL = 0.9  # of the containers' time until the last one ends, how much they should be at work
# Seconds of a task, where its rate is known. What is shorter costs as much to start as to run, and
# is not cut for containers that would have nothing to do otherwise; of what is longer, too much is
# lost with a node.
SHORTEST, LONGEST = 10.0, 300.0
# Bytes of a task, where it is not, and at most
SMALLEST, USUAL, LARGEST = 8 << 20, USUAL_SHARD, 4 << 30
MOST_TASKS = 100_000
_STEP = 0.97  # sizes that are nearer to each other than this are not told apart
_FULLER = 1.01  # times as full, which is times as fast, are worth more tasks
_MOST_WAVES = 100
_MOST_TRIED = 400_000  # files and shards that are looked at to find a size: a second or two


@dataclass(frozen=True)
class Cut:
    """The input in `tasks` shards of about `shard_size` bytes, for `slots` containers at once;
    `full`: the share of their time until the last one ends in which these are at work; `seconds`
    of the mean task, None where nobody knows."""

    shard_size: int
    tasks: int
    slots: int
    full: float
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        tasks = "1 task" if self.tasks == 1 else f"{self.tasks:,} tasks"
        each = "" if self.seconds is None else f", about {duration(self.seconds)} each"
        places = "1 container" if self.slots == 1 else f"{self.slots:,} containers"
        why = f"{places} will be {self.full:.0%} busy until the last task ends"
        if self.tasks < self.slots:
            why = f"there is room for {places}, but smaller tasks would be too short, or empty"
        return f"{tasks} of at most {format_size(self.shard_size)}{each}: {why}"


def best_cut(
    cut: Callable[[int], Sequence[Shard]],
    sources: Sequence[Source],
    block_size: int | None,
    slots: int,
    rate: float | None,
) -> Cut:
    """The size for `sources`, which `cut` turns into shards, `slots` at once. `rate`: bytes that a
    task gets through in a second (a file more counts as in `work`), None where nobody knows."""
    nbytes = work(sum(source.size for source in sources), len(sources))
    largest = max((source.size for source in sources), default=0)
    best, best_full, tried = None, 0.0, 0
    for size in sizes(nbytes, largest, block_size, slots, rate):
        shards = cut(size)
        full = fullness(_costs(shards), slots)
        seconds = nbytes / rate / max(1, len(shards)) if rate else None
        found = Cut(size, len(shards), slots, round(full, 3), seconds)
        tried += len(shards) + len(sources)
        if best is None or full > _FULLER * best_full:
            best, best_full = found, full
        if full >= FULL or tried > _MOST_TRIED:
            break
    return best or Cut(USUAL, 0, slots, 1.0, None)


def sizes(
    nbytes: int, largest: int, block_size: int | None, slots: int, rate: float | None
) -> list[int]:
    """Sizes that shards may have, the largest first: such that every container has a task where
    that is not too small, and one that leaves files whole, of which the `largest` has so many
    bytes. Smaller ones may only cut off what has no row group."""
    least, most = _bounds(nbytes, rate)
    share = max(1, -(-nbytes // max(1, slots)))
    shared = max(least, min(most, share))
    found = {*_of_blocks(block_size, shared), *_below(min(shared, (block_size or shared) // FREE))}
    found |= {-(-share // waves) for waves in range(1, _MOST_WAVES)}
    usual = {aligned(size, block_size) for size in found if least <= size <= shared} or {shared}
    whole = _holding(largest, block_size)
    if shared < whole <= most:
        usual.add(whole)
    return sorted(usual, reverse=True)


def _bounds(nbytes: int, rate: float | None) -> tuple[int, int]:
    """The fewest and the most bytes of a shard."""
    least, most = SMALLEST, USUAL
    if rate:
        least = max(1, int(SHORTEST * rate))
        most = max(least, min(LARGEST, int(LONGEST * rate)))
    return max(least, nbytes // MOST_TASKS), most


def _holding(nbytes: int, block_size: int | None) -> int:
    """The least size that fits the blocks, as `aligned` has it, and is not below `nbytes`."""
    if not block_size or not nbytes:
        return nbytes
    if nbytes > block_size:
        return -(-nbytes // block_size) * block_size
    parts = block_size // nbytes
    return nbytes if parts > FREE else -(-block_size // parts)


def _of_blocks(block_size: int | None, most: int) -> Iterator[int]:
    """Whole blocks, and the parts of one that are told apart."""
    if block_size:
        yield from range(block_size, most + 1, block_size)
        yield from (-(-block_size // parts) for parts in range(2, FREE + 1))


def _below(size: int) -> Iterator[int]:
    while size >= 1:
        yield size
        size = int(_STEP * size)


def fullness(costs: Sequence[float], slots: int) -> float:
    """How much of the time of `slots` containers tasks of `costs` take until the last one ends,
    when the longest begin first, as Hadoop has it; 1 where there is nothing to do."""
    ends = [0.0] * max(1, slots)
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return sum(ends) / (len(ends) * max(ends)) if max(ends) else 1.0


def _costs(shards: Sequence[Shard]) -> list[float]:
    """Rows, where planning has counted them, else bytes."""
    rows = [shard.rows for shard in shards]
    known = all(count is not None for count in rows)
    return [float(n or 0) for n in rows] if known else [float(s.length) for s in shards]
