"""Cutting and grouping: every byte once, tasks of a sensible size."""

import random

import pytest

from mrmodel.errors import UsageError
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.cutting import MAX_SHARDS, cut, shards_of
from mrmodel.shards.plan import Source

MB = 1 << 20
SHARD = 128 * MB


def source(name, size, splittable=True, groups=None, **more):
    """A file; `groups` are (rows, middle) of its row groups."""
    rows = None if groups is None else sum(rows for rows, _ in groups)
    groups = None if groups is None else tuple(groups)
    return Source(name, size, splittable=splittable, rows=rows, row_groups=groups, **more)


def row_groups(size, count, rows=1000):
    return [(rows, int(size * (n + 0.5) / count)) for n in range(count)]


def pieces_of(shards):
    return [piece for shard in shards for piece in shard.pieces]


def lengths(shards):
    return [shard.length // MB for shard in shards]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (64, [64]),
        (128, [128]),
        (140, [140]),  # a last piece may be a tenth longer
        (141, [128, 13]),
        (256, [128, 128]),
        (268, [128, 140]),
        (270, [128, 128, 14]),
    ],
)
def test_a_large_file_is_cut(size, expected):
    assert lengths(shards_of([source("a", size * MB)], SHARD)) == expected


def test_a_large_file_that_cannot_be_split_is_one_shard():
    assert lengths(shards_of([source("a.gz", 1000 * MB, splittable=False)], SHARD)) == [1000]


def test_ten_thousand_small_files_become_ten_shards():
    shards = shards_of([source(f"f{n:05}", 700) for n in range(10_000)], SHARD)
    assert len(shards) == 10
    assert [p.uri for p in pieces_of(shards)] == [f"f{n:05}" for n in range(10_000)]


def test_small_files_share_shards_in_order_and_large_ones_do_not_part_them():
    files = [
        source(name, size * MB) for name, size in [("a", 50), ("b", 300), ("c", 60), ("d", 30)]
    ]
    shards = shards_of(files, SHARD)
    assert [[p.uri for p in shard.pieces] for shard in shards] == [
        ["a", "c"],
        ["b"],
        ["b"],
        ["b"],
        ["d"],
    ]


def test_rows_are_counted_where_they_are_known():
    size = 512 * MB
    parquet = source("a", size, groups=row_groups(size, 8))
    assert [shard.rows for shard in shards_of([parquet], SHARD)] == [2000] * 4
    small = [source("b", MB, groups=[(5, 10)]), source("c", MB, groups=[(6, 10)])]
    assert [shard.rows for shard in shards_of(small, SHARD)] == [11]
    assert [shard.rows for shard in shards_of([*small, source("d", MB)], SHARD)] == [None]


def test_pieces_without_a_row_group_are_joined_to_the_one_before():
    size = 1024 * MB
    assert lengths(shards_of([source("a", size, groups=[(9, size // 2)])], SHARD)) == [1024]
    two = source("b", size, groups=[(5, 300 * MB), (7, 700 * MB)])
    shards = shards_of([two], SHARD)
    assert lengths(shards) == [640, 384]
    assert [shard.rows for shard in shards] == [5, 7]


def test_a_parquet_file_without_rows_is_one_piece():
    assert [p.length for p in cut(source("a", 3000, groups=[]), 1000)] == [3000]


def test_pieces_carry_what_a_task_must_know():
    (shard,) = shards_of([source("a", 100 * MB, mtime=7.0, partition={"dt": "x"})], SHARD)
    (piece,) = shard.pieces
    assert (piece.size, piece.mtime, piece.partition) == (100 * MB, 7.0, {"dt": "x"})


def test_an_empty_image_is_still_a_row_to_account_for():
    shards = shards_of([Source("a.png", 0, rows=1), Source("b.png", 5, rows=1)], SHARD)
    assert [(shard.rows, len(shard.pieces)) for shard in shards] == [(2, 2)]


def test_no_files_make_no_shards():
    assert shards_of([], SHARD) == ()


def test_a_shard_size_that_makes_too_many_shards_is_refused():
    with pytest.raises(UsageError, match="--shard-size 10 B makes more than 1,000,000 shards"):
        shards_of([source("a", 11 * MAX_SHARDS)], 10)


@pytest.mark.parametrize("seed", range(50))
def test_any_files_are_covered_once_and_no_row_is_lost(seed):
    draw = random.Random(seed)
    files = [random_source(draw, f"f{n:03}") for n in range(draw.randrange(1, 40))]
    shards = shards_of(files, draw.randrange(1, 2_000_000))
    assert check_coverage(files, pieces_of(shards)) == []
    assert [shard.pieces[0].uri for shard in shards] == sorted(s.pieces[0].uri for s in shards)
    counted = [shard.rows for shard in shards if shard.rows is not None]
    if len(counted) == len(shards):
        assert sum(counted) == sum(file.rows for file in files)


def random_source(draw, name):
    size = int(10 ** draw.uniform(0, 6.5))
    if draw.random() < 0.5:
        middles = sorted(draw.randrange(size) for _ in range(draw.randrange(6)))
        return source(name, size, groups=[(draw.randrange(1, 100), middle) for middle in middles])
    return source(name, size, splittable=draw.random() < 0.7)
