"""When a round goes on without a shard, and what many attempts at it agree on."""

import pytest

from mrmodel.tasks import roll_call
from mrmodel.tasks.roll_call import RollCall
from mrmodel.tasks.staging import Staging, TakenOverError
from tests.driver.helpers import names


@pytest.fixture
def clock(monkeypatch):
    """A list with the time in it, which never stands still."""
    now = [0.0]

    def tick():
        now[0] += 1e-6
        return now[0]

    monkeypatch.setattr(roll_call.time, "monotonic", tick)
    return now


@pytest.fixture
def staging(tmp_path):
    staging = Staging(str(tmp_path / "pass"), {"pass": "1"})
    staging.write_identity({"pass": "1"})
    return staging


@pytest.fixture
def begin(staging, clock):
    """An attempt at a shard of a round that needs two begins."""
    return lambda key, attempt="a", **more: RollCall(staging, attempt, key, 2, **more)


def verdict(tmp_path, key):
    return (tmp_path / "pass" / "roll" / "verdicts" / key).read_text()


def test_who_has_not_begun_when_there_are_enough_is_late(begin, tmp_path):
    assert not begin("3").is_late()
    assert begin("1").arrive(9)
    assert not begin("3").is_late()
    assert begin("2").arrive(9)
    assert begin("3").is_late()
    assert verdict(tmp_path, "3") == "late"
    assert names(tmp_path / "pass" / "roll" / "verdicts") == ["1", "2", "3"]


def test_who_is_at_work_has_a_tenth_more_time(begin, clock):
    slow, slower = begin("3"), begin("4")
    assert not slow.is_late() and not slower.is_late()
    clock[0] = 40.0
    assert begin("1").arrive(9) and begin("2").arrive(9)
    assert not slow.is_late() and not slower.is_late()
    clock[0] = 43.9
    assert not slower.is_late() and slow.arrive(9)
    clock[0] = 45.0
    assert slower.is_late()


def test_looking_costs_little(begin, clock, monkeypatch):
    looks = []
    monkeypatch.setattr(roll_call.storage, "exists", looks.append)
    one = begin("1")
    for tenths in range(21):
        clock[0] = tenths / 10
        one.is_late()
    assert len(looks) == 3


def test_a_shard_that_another_attempt_gave_up_on_stays_late(begin, tmp_path):
    first = begin("3", "a")
    assert begin("1").arrive(9) and begin("2").arrive(9)
    assert begin("3", "b").is_late()
    assert not first.arrive(9)
    assert begin("3", "c").is_late()
    assert verdict(tmp_path, "3") == "late"
    assert names(tmp_path / "pass" / "roll" / "verdicts") == ["1", "2", "3"]


def test_a_shard_of_which_another_attempt_arrived_is_worked_on_to_the_end(begin, tmp_path, clock):
    """That attempt may have died before what it found came to the reducers."""
    assert all(begin(key).arrive(9) for key in "123")
    again = begin("3", "b")
    assert not again.is_late()
    clock[0] = 1000.0
    assert not again.is_late() and again.arrive(9)
    assert verdict(tmp_path, "3") == "arrived"


def test_an_arrival_that_dies_before_it_counts_is_counted_when_it_is_repeated(begin, monkeypatch):
    assert begin("1").arrive(9)
    with monkeypatch.context() as dying:
        dying.setattr(RollCall, "_decide", _die_after(RollCall._decide))
        with pytest.raises(KeyboardInterrupt):
            begin("2").arrive(9)
    assert not begin("3").is_late()
    assert begin("2", "b").arrive(9)
    assert begin("3").is_late()


def _die_after(step):
    def die(*arguments):
        step(*arguments)
        raise KeyboardInterrupt

    return die


def test_a_task_of_a_driver_that_is_gone_decides_nothing(begin, staging):
    one = begin("1")
    staging.delete()
    with pytest.raises(TakenOverError):
        one.arrive(9)


def test_a_shard_that_was_late_before_is_waited_for(begin):
    assert begin("1", required=["3"]).arrive(9) and begin("2", required=["3"]).arrive(9)
    assert not begin("3", required=["3"]).is_late() and not begin("4", required=["3"]).is_late()
    assert begin("3", required=["3"]).arrive(9)
    assert begin("4", required=["3"]).is_late()


def test_shards_without_rows_alone_are_no_round(begin):
    assert begin("1").arrive(0) and begin("2").arrive(0)
    assert not begin("3").is_late()
    assert begin("3").arrive(9)
    assert begin("4").is_late()
