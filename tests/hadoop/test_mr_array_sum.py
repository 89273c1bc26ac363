"""jobs/mr_array_sum.py on a real cluster: the same sum."""

import sys

import pytest

from tests.jobs.test_mr_array_sum import numpy_sum, run_job

pytestmark = pytest.mark.hadoop


def finished_jobs(cluster):
    """id → REST record of the MapReduce jobs that succeeded so far."""
    apps = cluster.rm("cluster/apps?applicationTypes=MAPREDUCE&finalStatus=SUCCEEDED")["apps"]
    return {app["id"]: app for app in (apps or {"app": []})["app"]}


def test_sum_on_hadoop_is_numpys(cluster):
    before = finished_jobs(cluster)
    found = run_job(
        *("-r", "hadoop", "--python-bin", sys.executable),
        *("--size", 1000, "--chunk", 250, "--seed", 7),
    )
    assert found["elements"] == 1000 * 1000
    assert found["sum"] == pytest.approx(numpy_sum(1000, 250, seed=7), rel=1e-12)
    assert len(finished_jobs(cluster).keys() - before.keys()) == 1  # it ran there, not here
