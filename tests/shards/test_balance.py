"""Even shares for workers: every row once, nobody waits for the others."""

import random

import pytest

from mrmodel.shards.balance import EVEN, balanced, cut_by_rows, even_shards, unevenness
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.plan import Source
from mrmodel.shards.shard import Piece, Shard

KB, MB = 1 << 10, 1 << 20
SHARD = 128 * MB


def shards(*sizes):
    return [Shard((Piece(f"/{n}", 0, size, size),)) for n, size in enumerate(sizes)]


def loads(groups):
    return sorted(sum(shard.length for shard in group) for group in groups)


def parquet(name, size, *rows):
    """A Parquet file of row groups with so many `rows` each."""
    total, before, groups = sum(rows), 0, []
    for number in rows:
        groups.append((number, size * (2 * before + number) // (2 * max(1, total))))
        before += number
    return Source(name, size, splittable=True, rows=total, row_groups=tuple(groups))


def text(name, size):
    return Source(name, size, splittable=True)


def test_groups_have_about_the_same_bytes():
    all_ = shards(*[10, 90, 20, 80, 30, 70, 40, 60, 50, 50])
    groups = balanced(all_, 5)
    assert loads(groups) == [100] * 5
    assert sorted(s.pieces[0].uri for group in groups for s in group) == [
        f"/{n}" for n in range(10)
    ]
    for group in groups:
        assert group == sorted(group, key=all_.index)  # in input order


def test_no_more_groups_than_shards():
    assert len(balanced(shards(1, 2), 8)) == 2
    assert balanced([], 8) == []
    assert loads(balanced(shards(0, 0, 0, 0), 2)) == [0, 0]
    assert [len(group) for group in balanced(shards(0, 0, 0, 0), 2)] == [2, 2]


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 64])
@pytest.mark.parametrize(
    "sources",
    [
        [parquet("a", 500 * KB, 4800), parquet("b", 500 * KB, 4800)],
        [parquet("one row group", 100 * MB, 1_000_000)],
        [parquet(f"{n}", 40 * MB, 9000) for n in range(3)],
        [parquet("huge", 5 << 30, 19_000_000), parquet("small", MB, 10)],
        [text("small", MB)],
        [text("large", 3 << 30)],
        [text(f"{n}", 800 * KB) for n in range(3)],
        [Source(f"{n:05}.png", 700, rows=1) for n in range(1797)],
    ],
    ids=lambda sources: sources[0].uri if isinstance(sources, list) else None,
)
def test_workers_get_even_shares(sources, workers):
    found = even_shards(sources, SHARD, workers)
    assert check_coverage(sources, [piece for shard in found for piece in shard.pieces]) == []
    assert unevenness(found, workers) <= 1.2  # 1,797 images are not a multiple of 64
    if sources[0].rows is not None:
        assert sum(shard.rows for shard in found) == sum(source.rows for source in sources)


def test_a_huge_row_group_is_not_read_from_its_beginning_more_often_than_there_are_workers():
    assert len(even_shards([parquet("a", 5 << 30, 19_000_000)], SHARD, 4)) == 4


def test_row_groups_are_left_whole_where_they_make_even_shares():
    found = even_shards([parquet("a", 100 * MB, *[1000] * 40)], SHARD, 4)
    assert len(found) == 16
    assert all(piece.rows is None for shard in found for piece in shard.pieces)


def test_shards_stay_as_small_as_was_asked_for():
    """More shards than workers and a little uneven, rather than larger ones."""
    found = even_shards([parquet(f"{n}", 30 * MB, 100) for n in range(3)], 30 * MB, 2)
    assert max(shard.length for shard in found) <= 30 * MB
    assert unevenness(found, 2) <= EVEN


def test_what_cannot_be_cut_is_one_shard():
    gz = Source("a.gz", 50 * MB)
    assert [s.length for s in even_shards([gz], SHARD, 4)] == [50 * MB]


def test_a_few_bytes_are_one_worker_s():
    assert len(even_shards([text("a", 300)], SHARD, 8)) == 1
    assert len(even_shards([parquet("a", 3000, 10)], SHARD, 8)) == 1
    assert even_shards([], SHARD, 8) == ()


def test_rows_are_cut_across_files():
    a, b = parquet("a", 900, 90), parquet("b", 300, 30)
    one, two = cut_by_rows([a, b], 2)
    assert [(p.uri, p.rows, p.start, p.length) for p in one.pieces] == [("a", (0, 60), 0, 600)]
    assert [(p.uri, p.rows) for p in two.pieces] == [("a", (60, 90)), ("b", None)]
    assert (one.rows, two.rows) == (60, 60)


@pytest.mark.parametrize("seed", range(50))
def test_any_files_are_cut_between_any_rows(seed):
    draw = random.Random(seed)
    files = [
        parquet(f"f{n:02}", draw.randrange(1, 5000), *draw.choices([0, 1, 2, 30], k=4))
        for n in range(draw.randrange(1, 8))
    ]
    parts = draw.randrange(1, 12)
    found = cut_by_rows(files, parts)
    pieces = [piece for shard in found for piece in shard.pieces]
    assert check_coverage(files, pieces) == []
    assert sum(shard.rows for shard in found) == sum(file.rows for file in files)
    assert len(found) <= parts
    assert [piece.uri for piece in pieces] == sorted(piece.uri for piece in pieces)
    assert len({shard.key for shard in found}) == len(found)
