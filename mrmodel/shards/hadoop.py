"""Roads to a Hadoop cluster: Hadoop cuts files where their blocks lie; a manifest has the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mrmodel.shards.cutting import cut_points, is_large, shard_of, shards_of, tile
from mrmodel.shards.plan import Source
from mrmodel.shards.shard import Piece, Shard
from mrmodel.storage import split

# -input is a comma-separated list of globs, and Hadoop's paths have trouble with colons
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/=+@%~-]+")
# TextInputFormat does not cut, or cuts by its own rules, what a codec of Hadoop's claims by name
_CODEC_SUFFIXES = (".gz", ".bz2", ".zst", ".deflate", ".snappy", ".lz4", ".lzo", ".lzo_deflate")
# Linux gives a command line 2 MB with its environment
_MAX_INPUT_CHARS = 1_000_000
# the smallest part of a block that a split is brought to
FREE = 4


@dataclass(frozen=True)
class HadoopPlan:
    """``local``: files for -input, which Hadoop cuts into exactly the pieces of ``shards`` (one
    each) when it is given ``jobconf``; ``manifest``: the shards of all other files."""

    local: tuple[Source, ...]
    shards: tuple[Shard, ...]
    split_size: int
    maps: int
    manifest: tuple[Shard, ...]

    @property
    def jobconf(self) -> dict[str, str]:
        return {
            "mapreduce.input.fileinputformat.split.minsize": str(self.split_size),
            "mapreduce.job.maps": str(self.maps),
        }


def hadoop_split_plan(sources: Sequence[Source], shard_size: int) -> HadoopPlan:
    """Which road each of `sources` takes, and what Hadoop must be told to cut at `shard_size`.

    Data-local: files on HDFS that can be split, are worth a task of their own, and have paths
    that -input takes as they are. If all that would be left for the manifest is a few small files
    which could go that way too, they do: a second job costs more than a few short tasks.

    FileInputFormat cuts at max(minsize, min(total // maps, block size)). With minsize the size we
    want and maps = ceil(total / minsize), the inner term is never above it, so every file is cut
    at minsize, whatever its blocks. That size is `shard_size` brought to whole blocks, or to
    a half, third or quarter of one, so that a task's bytes lie on as few nodes as can be.
    """
    able = [source for source in sources if _can_be_local(source)]
    size = aligned(shard_size, usual_block_size(able))
    large = [s for s in able if is_large(s, shard_size) and not _mostly_empty(s, size)]
    small = [s for s in able if not is_large(s, shard_size)]
    no_manifest = len(large) + len(small) == len(sources) and len(small) <= _few(large, size)
    local = _that_fit_a_command(able if no_manifest else large)
    taken = {source.uri for source in local}
    maps = max(1, -(-sum(source.size for source in local) // size))
    rest = [source for source in sources if source.uri not in taken]
    shards = _shards_cut_by_hadoop(local, maps, size)
    return HadoopPlan(tuple(local), shards, size, maps, shards_of(rest, shard_size))


def cut_like_hadoop(sources: Sequence[Source], num_splits: int, min_size: int = 1) -> list[Piece]:
    """The splits that org.apache.hadoop.mapred.FileInputFormat makes of `sources`, in order.

    `num_splits` is mapreduce.job.maps, `min_size` mapreduce.input.fileinputformat.split.minsize.
    """
    goal = sum(source.size for source in sources) // (num_splits or 1)
    pieces = []
    for source in sources:
        size = max(min_size, min(goal, source.block_size or source.size))
        pieces += tile(source, size)
    return pieces


def aligned(shard_size: int, block_size: int | None) -> int:
    """The size near `shard_size`, and not above it by more than rounding, that fits the blocks;
    where it is a small part of one, few splits lie in two, and it stays as it is."""
    if not block_size:
        return shard_size
    if shard_size >= block_size:
        return shard_size // block_size * block_size
    parts = -(-block_size // shard_size)
    if parts > FREE:
        return shard_size
    return -(-block_size // parts)


def usual_block_size(sources: Sequence[Source]) -> int | None:
    """The block size that most bytes have."""
    nbytes: Counter[int] = Counter()
    for source in sources:
        nbytes[source.block_size or 0] += source.size
    return nbytes.most_common(1)[0][0] if nbytes else None


def _can_be_local(source: Source) -> bool:
    scheme, _, path = split(source.uri)
    claimed = path.lower().endswith(_CODEC_SUFFIXES)
    on_blocks = scheme == "hdfs" and source.size > 0
    return source.splittable and on_blocks and not claimed and bool(_SAFE_PATH.fullmatch(path))


def _mostly_empty(source: Source, size: int) -> bool:
    """Whether row groups are so much larger than splits that most tasks would find no row in
    theirs; such a row group lies on several nodes anyway."""
    if source.row_groups is None:
        return False
    pieces = tile(source, size)
    return 2 * sum(1 for piece in pieces if source.rows_in(piece)) < len(pieces)


def _few(large: Sequence[Source], size: int) -> int:
    """How many short tasks are few beside those of the `large` files."""
    return sum(len(cut_points(source.size, size)) for source in large) // 4


def _that_fit_a_command(sources: list[Source]) -> list[Source]:
    room = _MAX_INPUT_CHARS
    fit = []
    for source in sources:
        room -= len(source.uri) + len(" -input ")
        if room < 0:
            break
        fit.append(source)
    return fit


def _shards_cut_by_hadoop(sources: list[Source], maps: int, size: int) -> tuple[Shard, ...]:
    by_uri = {source.uri: source for source in sources}
    pieces = cut_like_hadoop(sources, maps, size)
    return tuple(shard_of(by_uri[piece.uri], [piece]) for piece in pieces)
