"""Exactly once, whatever dies: tasks, their JVMs, slow and hung ones, the driver itself."""

import json
import os
from collections import Counter
from dataclasses import dataclass

import pytest

from mrmodel import storage as st

from . import running
from .models.trouble import PER_SHARD
from .running import ENDED, on_hadoop, started, until

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

MB = 1 << 20


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-faults-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


def write_shards(uri, count):
    """A JSON Lines file that is cut into `count` shards of PER_SHARD rows each."""
    rows = [{"id": number, "text": ""} for number in range(count * PER_SHARD)]
    width = MB // PER_SHARD - 1
    lines = [running.json_lines([row])[:-1] for row in rows]
    padded = [line[:-2] + b"." * (width - len(line)) + b'"}' for line in lines]
    running.write_file(uri, running.json_lines(padded), block_size=MB)


def options(notes):
    """What all jobs here have in common; `notes` is where their models write."""
    arguments = json.dumps({"notes": str(notes)})
    return ["--model-args", arguments, "--shard-size", "1MB", "--batch-size", "64", "--keep", "id"]


def batches(notes):
    """(attempt, shard) → rows predicted, as the models noted."""
    found = Counter()
    for line in (notes / "batches").read_text().splitlines():
        attempt, shard, rows = line.split()
        found[attempt, int(shard)] += int(rows)
    return found


def assert_once(output, shards):
    """Every id is there once, in input order."""
    assert running.ids(output) == list(range(shards * PER_SHARD))
    assert "_SUCCESS" in running.names(output)
    assert running.names(running.staging(output)) is None


# tasks


@dataclass(frozen=True)
class Job:
    """A job that is over: `noted` is what its models noted, `states` attempt → state by Hadoop's
    history."""

    output: str
    noted: Counter
    states: dict[str, str]

    def first_attempt(self, shard):
        """Its full name, and its state."""
        end = f"_m_{shard:06d}_0"
        return next((name, state) for name, state in self.states.items() if name.endswith(end))

    def winner(self, shard):
        """The attempt whose rows of `shard` are in the output: it must be one."""
        by = {row["by"] for row in running.rows(self.output) if row["id"] // PER_SHARD == shard}
        assert len(by) == 1
        return by.pop()


def run_job(cluster, root, notes, model, shards, *more):
    folder = f"{root}/{model.rpartition(':')[2]}"
    write_shards(f"{folder}/in.jsonl", shards)
    done = on_hadoop(model, folder, f"{folder}-out", *options(notes), *more)
    assert done.code == 0, done.err
    (application,) = done.summary["applications"]
    return Job(f"{folder}-out", batches(notes), running.attempts(cluster, application))


@pytest.fixture(scope="module")
def trouble(cluster, root, tmp_path_factory):
    """A job in which three of four first attempts come to grief."""
    notes = tmp_path_factory.mktemp("notes")
    # no duplicates, or one might end the task before the hung attempt ends itself
    more = ["--batch-timeout", "10", "--jobconf", "mapreduce.map.speculative=false"]
    return run_job(cluster, root, notes, "trouble.py:Trouble", 4, *more)


def test_every_id_is_there_once_after_all_that(trouble):
    assert_once(trouble.output, 4)


@pytest.mark.parametrize("shard", [1, 3], ids=["killed", "hung"])
def test_failed_attempt_is_made_up_for(trouble, shard):
    first, state = trouble.first_attempt(shard)
    assert state == "FAILED"
    assert trouble.noted[first, shard] == PER_SHARD // 2  # it was in the middle
    winner = trouble.winner(shard)
    assert winner != first
    assert trouble.noted[winner, shard] == PER_SHARD


def test_attempt_without_its_jvm_is_made_up_for(trouble):
    """Nobody kills the model's process then: it may go on beside the second attempt, and even
    be first."""
    first, state = trouble.first_attempt(2)
    assert state == "FAILED"
    assert trouble.noted[trouble.winner(2), 2] == PER_SHARD
    second = [attempt for attempt, shard in trouble.noted if shard == 2 and attempt != first]
    assert second or trouble.winner(2) == first  # who comes to a finished shard leaves it


def test_slow_attempt_is_overtaken_by_a_speculative_one(cluster, root, tmp_path):
    job = run_job(cluster, root, tmp_path, "trouble.py:Slow", 2)
    first, state = job.first_attempt(1)
    assert state == "KILLED"  # by Hadoop, when the other was done
    assert job.noted[first, 1] < PER_SHARD
    assert job.winner(1) != first
    assert_once(job.output, 2)


# the driver


class Run:
    """A job of `model` whose last two of four shards wait; use it as a context manager."""

    def __init__(self, cluster, root, notes, model, *more):
        self.cluster = cluster
        self.notes = notes
        self.output = output_in(root)
        known = running.applications(cluster, self.output).keys()
        self._started = started(
            "predict", running.path_of(model), f"{root}/in.jsonl", "-o", self.output,
            "-r", "hadoop", *options(notes), "--memory", "1GB",
            "--jobconf", "mapreduce.map.speculative=false", *more,
        )  # fmt: skip
        self._is_mine = lambda name: name not in known

    def __enter__(self):
        self.driver = self._started.__enter__()
        return self

    def __exit__(self, *exc):
        self._started.__exit__(*exc)

    def wait_for_gate(self):
        """Until the last two shards wait; the application."""

        def waiting():
            assert self.driver.poll() is None, self.driver.communicate()
            apps = filter(self._is_mine, running.applications(self.cluster, self.output))
            return [
                a for a in apps if all(self.path("waiting", a, f"-{s}").exists() for s in (2, 3))
            ]

        (self.application,) = until(waiting, running.JOB_SECONDS, "two shards at the gate")
        done = f"{running.staging(self.output)}/done"
        until(lambda: len(running.names(done) or []) == 2, what="two finished shards")
        return self.application

    def path(self, what, application, more=""):
        return self.notes / f"{what}-{application}{more}"

    def open(self):
        self.path("open", self.application).touch()

    def complete(self):
        """Open the gate and wait for the end."""
        self.open()
        _, err = self.driver.communicate(timeout=running.JOB_SECONDS)
        assert self.driver.returncode == 0, err

    def state(self):
        return self.cluster.rm(f"cluster/apps/{self.application}")["app"]["state"]


@pytest.fixture
def driven(cluster, root, tmp_path, request):
    """Makes runs over the same input and output; what of them still runs is ended."""
    folder = f"{root}/{request.node.name}"
    write_shards(f"{folder}/in.jsonl", 4)
    yield lambda model, *more: Run(cluster, folder, tmp_path, model, *more)
    running.kill_applications(cluster, output_in(folder))


def output_in(folder):
    """A name that no other session has: jobs are found by it."""
    return f"{folder}/out-{os.getpid()}"


def test_driver_killed_and_resumed(driven, tmp_path):
    """Its application goes on: both applications finish the same shards at the same time."""
    with driven("trouble.py:Gate") as killed:
        killed.wait_for_gate()
        killed.driver.kill()
        killed.driver.wait()
        assert running.names(killed.output) is None
    with driven("trouble.py:Gate", "--resume") as resumed:
        resumed.wait_for_gate()
        assert killed.state() == "RUNNING"
        killed.open()
        resumed.complete()
    assert_once(resumed.output, 4)
    assert running.run_json(resumed.output)["kept"] == 2
    noted = batches(tmp_path)
    # finished shards were not done again
    assert [sum(shard == s for _, shard in noted) for s in (0, 1)] == [1, 1]


def test_driver_killed_and_another_model_run(driven):
    """The old application finishes its shards first, but not for the new job."""
    # the second attempts begin when everything is the new job's already
    with driven("trouble.py:Gate", "--jobconf", "mapreduce.map.maxattempts=2") as killed:
        killed.wait_for_gate()
        killed.driver.kill()
        killed.driver.wait()
    with driven("trouble.py:OtherGate") as other:
        other.wait_for_gate()
        killed.open()
        until(lambda: killed.state() in ENDED, 180, "end of the old application")
        other.complete()
    assert_once(other.output, 4)
    assert all(row["twice"] == -2 * row["id"] for row in running.rows(other.output))
