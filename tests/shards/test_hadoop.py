"""The two roads to Hadoop, and Hadoop's own arithmetic."""

import json
import random
from pathlib import Path

import pytest

from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.hadoop import aligned, cut_like_hadoop, hadoop_split_plan
from mrmodel.shards.plan import Source

MB = 1 << 20
BLOCK = 128 * MB
GOLDEN = Path(__file__).with_name("hadoop_splits.jsonl")


def hdfs(name, size, block=BLOCK, splittable=True, **more):
    return Source(f"hdfs://nn:9000/{name}", size, block_size=block, splittable=splittable, **more)


def names(sources):
    return [source.uri.removeprefix("hdfs://nn:9000/") for source in sources]


def splits(files, maps, minimum=1):
    return [(piece.start, piece.length) for piece in cut_like_hadoop(files, maps, minimum)]


@pytest.mark.parametrize("line", GOLDEN.read_text().splitlines())
def test_splits_are_those_that_hadoop_itself_made(line):
    """Each line holds a call of TextInputFormat.getSplits of Hadoop 3.4.2 and its answer."""
    case = json.loads(line)
    files = [hdfs(str(n), size, block) for n, (size, block) in enumerate(case["files"])]
    pieces = cut_like_hadoop(files, case["maps"], case["minsize"])
    assert [[int(names([p])[0]), p.start, p.length] for p in pieces] == case["splits"]


def test_without_hints_hadoop_cuts_at_blocks():
    assert splits([hdfs("a", 300)], 1) == [(0, 300)]
    assert splits([hdfs("a", 300, block=100)], 1) == [(0, 100), (100, 100), (200, 100)]


def test_more_maps_make_smaller_splits():
    assert splits([hdfs("a", 300, block=100)], 6) == [(n, 50) for n in range(0, 300, 50)]


def test_the_minimum_wins_over_maps_and_blocks():
    assert splits([hdfs("a", 300, block=100)], 6, 150) == [(0, 150), (150, 150)]


def test_the_goal_counts_all_files():
    files = [hdfs("a", 90, block=1000), hdfs("b", 30, block=1000)]
    assert splits(files, 3) == [(0, 40), (40, 40), (80, 10), (0, 30)]


def test_the_last_split_may_be_a_tenth_longer():
    assert splits([hdfs("a", 110, block=100)], 0) == [(0, 110)]
    assert splits([hdfs("a", 111, block=100)], 0) == [(0, 100), (100, 11)]


def test_what_cannot_be_split_or_is_empty_is_one_split():
    assert splits([hdfs("a.gz", 300, block=100, splittable=False)], 9) == [(0, 300)]
    assert splits([hdfs("a", 0)], 2) == [(0, 0)]


@pytest.mark.parametrize(
    ("shard", "block", "expected"),
    [(128, 128, 128), (128, 64, 128), (150, 64, 128), (128, 256, 128), (100, 128, 64),
     (50, 128, 43), (128, None, 128), (1, 128, 1)],
)  # fmt: skip
def test_splits_fit_the_blocks(shard, block, expected):
    assert aligned(shard, block) == expected


def test_large_files_on_hdfs_are_cut_by_hadoop_and_the_rest_goes_by_manifest():
    files = [
        hdfs("big.parquet", 300 * MB),
        hdfs("small.parquet", 10 * MB),
        hdfs("big.jsonl.gz", 300 * MB, splittable=False),
        hdfs("with space.parquet", 300 * MB),
        hdfs("com,ma.parquet", 300 * MB),
        hdfs("{brace}.parquet", 300 * MB),
        hdfs("naïve.parquet", 300 * MB),
        hdfs("dt=2026-01-01/a%20b.parquet", 64 * MB),
        Source("/local/big.parquet", 300 * MB, splittable=True),
    ]
    plan = hadoop_split_plan(files, 128 * MB)
    assert names(plan.local) == ["big.parquet", "dt=2026-01-01/a%20b.parquet"]
    assert [shard.length // MB for shard in plan.shards] == [128, 128, 44, 64]
    assert plan.split_size == 128 * MB
    manifest = {piece.uri for shard in plan.manifest for piece in shard.pieces}
    assert manifest == {file.uri for file in files} - {file.uri for file in plan.local}


def test_a_name_that_hadoop_has_a_codec_for_goes_by_manifest():
    files = [hdfs(f"a{suffix}", 300 * MB) for suffix in (".txt.snappy", ".bz2", ".LZ4", ".deflate")]
    assert hadoop_split_plan(files, 128 * MB).local == ()


def test_a_few_small_files_ride_along_when_that_saves_the_second_job():
    files = [hdfs("a", 600 * MB), hdfs("tail", 10 * MB)]
    plan = hadoop_split_plan(files, 128 * MB)
    assert names(plan.local) == ["a", "tail"] and plan.manifest == ()
    many = [*files, hdfs("tail2", MB), hdfs("tail3", MB)]
    assert names(hadoop_split_plan(many, 128 * MB).local) == ["a"]
    odd = [*files, hdfs("od d", MB)]
    assert names(hadoop_split_plan(odd, 128 * MB).local) == ["a"]


def test_a_parquet_file_of_huge_row_groups_makes_no_empty_tasks():
    size = 5000 * MB
    plan = hadoop_split_plan([hdfs("one", size, rows=9, row_groups=((9, size // 2),))], 128 * MB)
    assert plan.local == ()
    assert [(shard.length, shard.rows) for shard in plan.manifest] == [(size, 9)]


def test_rows_of_the_pieces_that_hadoop_cuts_are_known():
    size = 256 * MB
    groups = tuple((10, size * (2 * n + 1) // 16) for n in range(8))
    plan = hadoop_split_plan([hdfs("a", size, rows=80, row_groups=groups)], 128 * MB)
    assert [shard.rows for shard in plan.shards] == [40, 40]


def test_the_command_line_stays_below_what_linux_takes():
    files = [hdfs(f"{n:05}/{'x' * 180}", 64 * MB) for n in range(10_000)]
    plan = hadoop_split_plan(files, 128 * MB)
    assert 4_000 < len(plan.local) < 10_000
    assert sum(len(file.uri) for file in plan.local) < 1_000_000


def test_nothing_to_read():
    plan = hadoop_split_plan([], 128 * MB)
    assert (plan.local, plan.shards, plan.manifest) == ((), (), ())


@pytest.mark.parametrize("seed", range(100))
def test_hadoop_told_by_jobconf_cuts_the_shards_that_are_expected(seed):
    draw = random.Random(seed)
    blocks = [1 << draw.randrange(10, 18) for _ in range(2)]
    files = [
        hdfs(f"f{n}", draw.randrange(1, 2_000_000), draw.choice(blocks), draw.random() < 0.9)
        for n in range(draw.randrange(1, 30))
    ]
    size = draw.randrange(1000, 500_000)
    plan = hadoop_split_plan(files, size)
    maps, minimum = (int(value) for value in reversed(plan.jobconf.values()))
    pieces = cut_like_hadoop(plan.local, maps, minimum)
    assert [shard.pieces for shard in plan.shards] == [(piece,) for piece in pieces]
    assert all(piece.length <= 1.1 * plan.split_size for piece in pieces)
    manifest = [piece for shard in plan.manifest for piece in shard.pieces]
    assert check_coverage(files, [*pieces, *manifest]) == []
