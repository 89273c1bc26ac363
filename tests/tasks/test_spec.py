"""What a task is told survives the way there."""

import time

import pyarrow as pa

from mrmodel.specs import ModelSpec
from mrmodel.tasks.clock import PHASES, Clock
from mrmodel.tasks.spec import TaskData, TaskModel, TaskSpec, decode_schema, encode_schema

SCHEMA = pa.schema([("é, x", pa.list_(pa.float32(), 3)), ("t", pa.timestamp("ns", "UTC"))])


def test_there_and_back(tmp_path):
    model = TaskModel(ModelSpec("m.py:Net", {"a": [1]}).to_dict(), "sha", weights_links={"a": "b"})
    data = TaskData("csv", encode_schema(SCHEMA), ("é, x",), (), (4, 5))
    spec = TaskSpec("out\udcff", model.to_dict(), data.to_dict(), "/staging", driver_pid=7)
    spec.write(tmp_path / "spec.json")
    found = TaskSpec.read(tmp_path / "spec.json")
    assert (found.job, found.staging, found.driver_pid) == ("out\udcff", "/staging", 7)
    assert (found.task_model.weights_links, found.task_data) == ({"a": "b"}, data)
    assert found.task_data.arrow_schema == SCHEMA
    assert found.task_model.model == ModelSpec("m.py:Net", {"a": [1]})


def test_schemas():
    assert decode_schema(encode_schema(SCHEMA)) == SCHEMA


def test_a_clock_adds_up():
    clock = Clock()
    assert clock.seconds == dict.fromkeys(PHASES, 0.0)
    for _ in range(2):
        with clock.phase("read"):
            pass
    clock.add("forward", 1.5)
    clock.add("forward", 0.5)
    assert clock.seconds["read"] > 0 and clock.seconds["forward"] == 2.0


def test_a_clock_counts_the_making_of_items_alone():
    clock = Clock(("make",))

    def made():
        for number in range(3):
            time.sleep(0.01)
            yield number

    for number, item in enumerate(clock.each("make", made())):
        assert item == number
        time.sleep(0.5)
    assert 0.03 <= clock.seconds["make"] < 0.5
