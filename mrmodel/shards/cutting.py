"""Large files are cut into shards, small ones are gathered into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mrmodel.errors import UsageError
from mrmodel.shards.plan import Source, total_rows
from mrmodel.shards.shard import Piece, Shard
from mrmodel.units import format_size

# Hadoop's own: a last piece may be a tenth longer, so that no task gets a crumb
SPLIT_SLOP = 1.1
# what opening a file costs, in bytes that could have been read meanwhile: 1,024 empty files fill
# a shard of 128 MB
OPEN_COST = 128 << 10
MAX_SHARDS = 1_000_000


def shards_of(
    sources: Sequence[Source], shard_size: int, open_cost: int = OPEN_COST
) -> tuple[Shard, ...]:
    """`sources` as shards of about `shard_size` bytes, in input order. A file in a group counts
    `open_cost` more than its bytes.

    A file of at least half a shard is cut, each piece a shard of its own (one piece where it
    cannot be split); smaller files share shards. Every byte is in exactly one piece.

    Raises UsageError when that makes more than MAX_SHARDS.
    """
    if sum(source.size for source in sources) > MAX_SHARDS * shard_size:
        raise UsageError(
            f"--shard-size {format_size(shard_size)} makes more than {MAX_SHARDS:,} shards; "
            "give a larger one"
        )
    large = [source for source in sources if is_large(source, shard_size)]
    small = [source for source in sources if not is_large(source, shard_size)]
    shards = [shard_of(source, [piece]) for source in large for piece in cut(source, shard_size)]
    shards += [_shard_of_files(group) for group in _grouped(small, shard_size, open_cost)]
    return in_input_order(sources, shards)


def work(nbytes: int, pieces: int) -> int:
    """What reading `nbytes` bytes in so many `pieces` costs, in bytes."""
    return nbytes + OPEN_COST * max(0, pieces - 1)


def in_input_order(sources: Sequence[Source], shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """`shards` as their first pieces lie in `sources`."""
    place = {source.uri: number for number, source in enumerate(sources)}
    return tuple(sorted(shards, key=lambda s: (place[s.pieces[0].uri], s.pieces[0].start)))


def is_large(source: Source, shard_size: int) -> bool:
    """Whether `source` is worth a task of its own."""
    return 2 * source.size >= shard_size


def shard_of(source: Source, pieces: Iterable[Piece]) -> Shard:
    """A shard of pieces of one file, with its rows where they are known."""
    pieces = tuple(pieces)
    return Shard(pieces, total_rows(source.rows_in(piece) for piece in pieces))


def _shard_of_files(sources: Sequence[Source]) -> Shard:
    pieces = tuple(source.piece() for source in sources)
    return Shard(pieces, total_rows(source.rows for source in sources))


def _grouped(sources: Iterable[Source], shard_size: int, open_cost: int) -> Iterator[list[Source]]:
    group: list[Source] = []
    cost = 0
    for source in sources:
        if group and cost + source.size + open_cost > shard_size:
            yield group
            group, cost = [], 0
        group.append(source)
        cost += source.size + open_cost
    if group:
        yield group


def cut(source: Source, size: int) -> list[Piece]:
    """Pieces of `source` of about `size` bytes that tile it.

    Of a Parquet file, pieces without the middle of a row group, which would hold no row, are
    joined to the piece before.
    """
    pieces = tile(source, size)
    if source.row_groups is None or len(pieces) == 1:
        return pieces
    starts = [piece.start for piece in pieces if source.rows_in(piece)]
    return _between(source, [0, *starts[1:]])


def tile(source: Source, size: int) -> list[Piece]:
    """Pieces of `source` as Hadoop cuts a file at `size` bytes."""
    whole = not source.splittable or not source.size
    return _between(source, [0] if whole else cut_points(source.size, size))


def _between(source: Source, starts: list[int]) -> list[Piece]:
    ends = [*starts[1:], source.size]
    return [source.piece(s, e - s) for s, e in zip(starts, ends, strict=True)]


def cut_points(length: int, size: int) -> list[int]:
    """Where pieces of `size` bytes begin in `length` bytes, by Hadoop's rule for the last one."""
    starts, left = [0], length
    while left / size > SPLIT_SLOP:
        left -= size
        starts.append(length - left)
    return starts
