"""Where a task finds itself."""

import os

from mrmodel.tasks.context import TaskContext

HADOOP = {
    "CONTAINER_ID": "container_1_0001_01_000002",
    "mapreduce_task_attempt_id": "attempt_1_0001_m_000000_0",
    "mapreduce_map_input_file": "hdfs://nn:9000/a b/c,d.parquet",
    "mapreduce_map_input_start": "134217728",
    "mapreduce_map_input_length": "42",
    "mapreduce_map_cpu_vcores": "3",
}


def test_on_hadoop():
    context = TaskContext.from_environment(HADOOP)
    assert context.is_hadoop
    assert context.attempt == "attempt_1_0001_m_000000_0"
    assert context.split == ("hdfs://nn:9000/a b/c,d.parquet", 134217728, 42)
    assert context.vcores == 3


def test_on_hadoop_with_a_manifest():
    few = {name: HADOOP[name] for name in ("CONTAINER_ID", "mapreduce_task_attempt_id")}
    context = TaskContext.from_environment(few)
    assert (context.split, context.vcores) == (None, None)


def test_a_driver_that_runs_in_a_container_itself():
    context = TaskContext.from_environment(HADOOP, has_driver=True)
    assert (context.is_hadoop, context.split, context.vcores) == (False, None, None)
    assert context.attempt == f"attempt_1_0001_m_000000_0-{os.getpid()}"


def test_elsewhere_attempts_of_two_runs_have_two_names():
    """mrjob gives the same name to the same task of every run."""
    context = TaskContext.from_environment({"mapreduce_task_attempt_id": "attempt_a/b c"})
    assert context.attempt == f"attempt_a_b_c-{os.getpid()}"
    assert (context.is_hadoop, context.split, context.vcores) == (False, None, None)
