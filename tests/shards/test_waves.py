"""Shards of a size with which the containers of a cluster are busy to the end."""

import pytest

from mrmodel.shards.hadoop import hadoop_split_plan, usual_block_size
from mrmodel.shards.plan import Source
from mrmodel.shards.waves import FULL, LARGEST, LONGEST, SHORTEST, best_cut, fullness

MB = 1 << 20
BLOCK = 128 * MB


def lines(name, size, block=BLOCK):
    return Source(f"hdfs://nn/{name}", size, block_size=block, splittable=True)


def shards(sources, size):
    plan = hadoop_split_plan(sources, size)
    return [*plan.shards, *plan.manifest]


def cut(sources, slots, rate=None):
    block = usual_block_size(sources)
    found = best_cut(lambda size: shards(sources, size), sources, block, slots, rate)
    made = shards(sources, found.shard_size)
    assert found.tasks == len(made)
    assert sum(shard.length for shard in made) == sum(source.size for source in sources)
    assert found.full == round(fullness([shard.length for shard in made], slots), 3)
    return found


def test_fullness_is_the_busy_share_until_the_last_task_ends():
    assert fullness([1.0] * 8, 4) == 1.0
    assert fullness([1.0] * 9, 4) == 9 / 12
    assert fullness([3.0, 1.0, 1.0, 1.0], 2) == 1.0
    assert fullness([1.0], 4) == 0.25
    assert fullness([], 4) == fullness([0.0], 4) == 1.0


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 7, 16, 60])
@pytest.mark.parametrize("gigabytes", [1, 3, 10, 77])
def test_the_last_wave_is_full(slots, gigabytes):
    found = cut([lines("a", gigabytes * 1024 * MB + 12345)], slots)
    assert found.full >= FULL
    assert found.tasks >= slots
    assert found.shard_size <= BLOCK


def test_several_files_whose_ends_are_shards_too():
    found = cut([lines(f"{n}", (900 + 37 * n) * MB) for n in range(7)], 11)
    assert found.full >= FULL


def test_as_before_where_that_is_full_already():
    assert cut([lines("a", 12 * BLOCK)], 4).shard_size == BLOCK


def test_a_small_input_is_not_cut_where_no_rate_is_known():
    found = cut([lines("a", 5 * MB)], 16)
    assert (found.tasks, found.seconds) == (1, None)


def test_a_slow_model_has_a_task_for_each_container():
    """20 MB at 20 KB/s are 17 minutes of one task."""
    found = cut([lines("a", 20 * MB)], 16, rate=20 * 1024)
    assert found.tasks == 16
    assert found.full >= FULL
    assert SHORTEST < found.seconds < LONGEST


def test_tasks_that_would_be_too_short_are_fewer():
    found = cut([lines("a", 20 * MB)], 16, rate=200 * 1024)
    assert found.tasks == 11
    assert found.shard_size == SHORTEST * 200 * 1024


def test_a_fast_model_has_larger_shards():
    found = cut([lines("a", 300 * 1024 * MB)], 10, rate=10 * MB)
    assert BLOCK < found.shard_size <= LARGEST
    assert found.shard_size % BLOCK == 0
    assert found.full >= FULL
    assert SHORTEST < found.seconds <= LONGEST


def test_tasks_of_a_slow_model_are_never_longer_than_that():
    found = cut([lines("a", 10 * 1024 * MB)], 4, rate=MB)
    assert found.seconds <= LONGEST and found.full >= FULL


def test_row_groups_decide_where_they_are_large():
    groups = tuple((1000, (2 * n + 1) * 50 * MB) for n in range(10))
    source = Source("hdfs://nn/a", 1000 * MB, 0.0, {}, BLOCK, True, 10_000, groups)
    found = best_cut(lambda size: shards([source], size), [source], BLOCK, 4, None)
    rows = [shard.rows for shard in shards([source], found.shard_size)]
    assert sum(rows) == 10_000
    # ten row groups on four containers: three waves, whatever is done
    assert found.full == round(10 / 12, 3)


@pytest.mark.parametrize("size", [12 * MB, 30 * MB, 50 * MB, 90 * MB, 125 * MB])
def test_files_of_one_row_group_stay_whole(size):
    """A piece without the middle of the row group would be a task that reads nothing."""
    groups = ((1000, size // 2),)
    sources = [Source(f"hdfs://nn/{n}", size, 0.0, {}, BLOCK, True, 1000, groups) for n in range(4)]
    found = best_cut(lambda size: shards(sources, size), sources, BLOCK, 5, None)
    assert [shard.rows for shard in shards(sources, found.shard_size)] == [1000] * 4
    assert (found.tasks, found.full) == (4, 0.8)


@pytest.mark.parametrize("slots", [16, 500, 5_000])
@pytest.mark.parametrize(("rate", "tasks"), [(None, 13), (5 * MB, 3)])
def test_a_file_is_cut_however_many_containers_stay_idle(slots, rate, tasks):
    assert cut([lines("a", 100 * MB)], slots, rate).tasks == tasks


def test_files_are_cut_where_that_keeps_more_containers_busy():
    found = cut([lines(f"{n}", 90 * MB) for n in range(4)], 5)
    assert found.tasks > 4 and found.full >= FULL


def test_many_small_files_stay_together():
    sources = [lines(f"{n}", 1000) for n in range(10_000)]
    found = cut(sources, 8)
    assert 8 <= found.tasks <= 32 and found.full >= FULL


def test_an_input_of_nothing():
    assert best_cut(lambda size: [], [], None, 4, None).tasks == 0


def test_what_people_read():
    assert str(cut([lines("a", 20 * MB)], 16, rate=20 * 1024)) == (
        "16 tasks of at most 1.2 MB, about 1m 04s each: 16 containers will be 100% busy until the "
        "last task ends"
    )
    assert str(cut([lines("a", 5 * MB)], 16)) == (
        "1 task of at most 8.0 MB: there is room for 16 containers, but smaller tasks would be too "
        "short, or empty"
    )
