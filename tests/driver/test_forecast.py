"""Forecasts against sums that can be done by hand."""

import pytest

from mrmodel.driver.forecast import Cluster, Rates, Work, forecast
from mrmodel.errors import UsageError

RATES = Rates(
    start=10, row=0.001, load=2, wave=5, file=0.01, shard=0.1, plan=0.0005, end=3, commit=0.002
)


def test_one_task_does_all():
    found = forecast(RATES, Work(rows=1000, files=4, shards=1, tasks=1), Cluster(1, 1))
    assert found.start == pytest.approx(10 + 4 * 0.0005)
    assert found.work == pytest.approx(2 + 1000 * 0.001 + 4 * 0.01 + 0.1)
    assert found.end == pytest.approx(3 + 0.002)
    assert found.seconds == pytest.approx(found.start + found.work + found.end)
    assert (found.waves, found.last_wave, found.last_wave_used, found.used) == (1, 1, 1.0, 1.0)


def test_waves_begin_tasks_again():
    found = forecast(RATES, Work(rows=80_000, files=8, shards=8, tasks=8), Cluster(2, 2))
    assert found.waves == 2
    assert found.work == pytest.approx(5 + 2 * (2 + 10_000 * 0.001 + 0.01 + 0.1))


def test_a_last_wave_of_one_task_takes_as_long_as_a_full_one():
    cluster = Cluster(2, 2)
    full = forecast(RATES, Work(8_000, 8, 8, tasks=8), cluster)
    one = forecast(RATES, Work(5_000, 5, 5, tasks=5), cluster)
    assert one.work == pytest.approx(full.work)
    assert (one.waves, one.last_wave, one.last_wave_used) == (2, 1, 0.25)
    assert one.used == pytest.approx(5 / 8)
    assert full.used == 1.0


def test_more_nodes_do_not_make_the_driver_quicker():
    work = Work(rows=10_000_000, files=1_000, shards=4_000, tasks=4_000)
    few, many = (forecast(RATES, work, Cluster(nodes, 4)) for nodes in (10, 1_000))
    assert (few.waves, many.waves) == (100, 1)
    assert many.work < few.work / 90
    assert (many.start, many.end) == (few.start, few.end)


def test_more_slots_than_tasks():
    found = forecast(RATES, Work(300, 3, 3, tasks=3), Cluster(10, 2))
    assert (found.waves, found.last_wave) == (1, 3)
    assert found.used == pytest.approx(3 / 20)


def test_more_tasks_than_cores_take_turns():
    rates = Rates(start=10, row=0.001, load=2, wave=5, crowd=4)
    work = Work(rows=12_000, files=6, shards=6, tasks=6)
    few = forecast(rates, work, Cluster(1, 6, cores=2))
    assert few.start == pytest.approx(10 + 2 * 4)  # three a core
    assert few.work == pytest.approx(2 + 3 * 2_000 * 0.001)
    spread = forecast(rates, work, Cluster(3, 6, cores=2))
    assert (spread.start, spread.work) == (10, pytest.approx(2 + 2_000 * 0.001))
    assert forecast(rates, work, Cluster(1, 6)) == forecast(rates, work, Cluster(1, 6, cores=6))


def test_nothing_to_do():
    found = forecast(RATES, Work(0, 0, 0, tasks=0), Cluster(1, 1))
    assert (found.waves, found.work, found.used) == (0, 0.0, 0.0)
    assert found.seconds == 13


@pytest.mark.parametrize(
    ("work", "cluster"),
    [(Work(1, 1, 1, tasks=0), Cluster(1, 1)), (Work(1, 1, 1, tasks=1), Cluster(0, 4))],
)
def test_what_can_never_run(work, cluster):
    with pytest.raises(UsageError, match="expected at least one"):
        forecast(RATES, work, cluster)
