"""Shares of about the same length, for workers that each get theirs at the beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mrmodel.shards.cutting import shards_of
from mrmodel.shards.plan import Source
from mrmodel.shards.shard import Piece, Shard

EVEN = 1.1  # how much longer than the mean the longest share may be
PER_WORKER = 4  # shards that a worker gets where they are large enough
SEVERAL_FROM = 1 << 20  # bytes of a shard, if every worker is to have several
SMALLEST = 4 << 10  # bytes that are worth a worker
OPEN_COST = 4 << 10  # of a file on this machine, in bytes


def even_shards(sources: Sequence[Source], shard_size: int, workers: int) -> tuple[Shard, ...]:
    """`sources` as shards of at most about `shard_size` bytes that `workers` can share evenly.

    Several shards for each worker where they are of some size, so that little is lost with a
    worker; else one. Where no size makes the shares even, since the row groups of Parquet files
    are too large, the files are cut between rows.
    """
    most = max(1, _cost(sources) // SMALLEST)
    workers = min(workers, most)
    best = usual_shards(sources, shard_size, workers)
    for shards_per_worker in range(1, PER_WORKER + 1):
        if unevenness(best, workers) <= EVEN:
            return best
        size = min(shard_size, -(-_cost(sources) // (workers * shards_per_worker)))
        found = shards_of(sources, size, OPEN_COST)
        best = min(best, found, key=lambda shards: unevenness(shards, workers))
    if unevenness(best, workers) <= EVEN or any(s.row_groups is None for s in sources):
        return best
    longest = max(shard_size, *(shard.length for shard in best))
    for parts in range(workers, min(most, workers * PER_WORKER) + 1, workers):
        if _cost(sources) <= parts * longest:
            return cut_by_rows(sources, parts)
    return best


def usual_shards(sources: Sequence[Source], shard_size: int, workers: int) -> tuple[Shard, ...]:
    """`sources` as shards of at most about `shard_size` bytes, and of less where that gives each
    of `workers` several that are still of some size."""
    share = _cost(sources) // (workers * PER_WORKER)
    return shards_of(sources, min(shard_size, max(SEVERAL_FROM, share)), OPEN_COST)


def _cost(sources: Sequence[Source]) -> int:
    return sum(source.size for source in sources) + OPEN_COST * max(0, len(sources) - 1)


def unevenness(shards: Sequence[Shard], workers: int) -> float:
    """The longest share of `shards` among `workers`, in mean shares."""
    lengths = [sum(shard.length for shard in group) for group in balanced(shards, workers)]
    return max(lengths, default=0) * workers / max(1, sum(lengths))


def balanced(shards: Sequence[Shard], groups: int) -> list[list[Shard]]:
    """`shards` in at most `groups` groups of about the same number of bytes, in input order."""
    loads = [0] * max(1, groups)
    members: list[list[int]] = [[] for _ in loads]
    for index in sorted(range(len(shards)), key=lambda i: -shards[i].length):
        least = loads.index(min(loads))
        loads[least] += max(1, shards[index].length)
        members[least].append(index)
    return [[shards[i] for i in sorted(group)] for group in members if group]


def cut_by_rows(sources: Sequence[Source], parts: int) -> tuple[Shard, ...]:
    """Parquet files as at most `parts` shards of the same length, each of rows that follow one
    another in the input."""
    total = sum(source.size for source in sources)
    shards: list[list[Piece]] = [[] for _ in range(parts)]
    rows = [0] * parts
    before = 0
    for source in sources:
        for part, piece in _by_rows(source, before, total, parts):
            shards[part].append(piece)
            rows[part] += source.rows_in(piece) or 0
        before += source.size
    return tuple(Shard(tuple(s), n) for s, n in zip(shards, rows, strict=True) if s)


def _by_rows(source: Source, before: int, total: int, parts: int) -> Iterator[tuple[int, Piece]]:
    """The pieces of `source`, which lies `before` bytes into all `total`, and their parts."""
    first = before * parts // total
    starts = [(first, 0, 0)]
    for part in range(first + 1, parts):
        byte = total * part // parts - before
        row = (source.rows or 0) * byte // source.size
        if starts[-1][2] < row < (source.rows or 0):
            starts.append((part, byte, row))
    if len(starts) == 1:
        yield first, source.piece()
        return
    ends = [*starts[1:], (parts, source.size, source.rows)]
    for (part, start, row), (_, end, end_row) in zip(starts, ends, strict=True):
        yield part, replace(source.piece(start, end - start), rows=(row, end_row))
