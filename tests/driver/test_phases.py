"""Where the seconds of a round go: the tasks' clocks divide the driver's."""

import pytest

from mrmodel.driver.phases import Phases


def told(kind, begun, ended, **seconds):
    return {"kind": kind, "begun": begun, "ended": ended, "seconds": seconds}


def test_phases_follow_one_another():
    phases = Phases()
    tasks = [
        told("map", 103.0, 106.0, read=1.0, compute=2.0),
        told("map", 104.0, 108.0, read=0.5, compute=3.5),
        told("reduce", 110.0, 111.0, add=0.25),
    ]
    phases.add_pass(100.0, tasks, 115.0)
    line = phases.line(16.5)
    assert line["phases"] == {
        "start": 3.0, "map": 5.0, "shuffle": 2.0, "reduce": 1.0, "collect": 4.0, "step": 1.5,
    }  # fmt: skip
    assert line["task_seconds"] == {"read": 1.5, "compute": 5.5, "add": 0.25}


def test_passes_of_a_round_add_up():
    phases = Phases()
    for begun in (0.0, 50.0):
        tasks = [told("map", begun + 1, begun + 2, read=1.0), told("reduce", begun + 2, begun + 3)]
        phases.add_pass(begun, tasks, begun + 4)
    line = phases.line(9.0)
    assert line["phases"]["map"] == 2.0 and line["phases"]["step"] == 1.0
    assert line["task_seconds"]["read"] == 2.0


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        [told("map", 0.0, 7.0), told("reduce", 6.0, 99.0)],
        [told("reduce", 3.0, 4.0)],
    ],
)
def test_no_phase_is_negative_and_none_is_lost(tasks):
    """Where clocks of nodes differ, reducers begin early, or a kind of task said nothing."""
    phases = Phases()
    phases.add_pass(1.0, tasks, 10.0)
    seconds = phases.line(9.0)["phases"]
    assert sum(seconds.values()) == pytest.approx(9.0)
    assert min(seconds.values()) >= 0.0
