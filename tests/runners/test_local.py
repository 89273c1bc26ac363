"""The local runner: processes that are killed, that fail, that are left alone."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace

import psutil
import pytest

from mrmodel.errors import JobError, TaskKilledError
from mrmodel.runners import local
from mrmodel.runners.base import Launch
from mrmodel.runners.local import LocalLauncher
from mrmodel.shards.shard import Piece, Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging
from tests.driver import helpers
from tests.driver.helpers import ids, model, names, parquet, run
from tests.runners.mr_fake import MRFake


@dataclass(frozen=True)
class NamedShard(Shard):
    """A shard whose key is the name of its file."""

    @property
    def key(self):
        return self.pieces[0].uri


def launch(folder, *files, **options):
    """A job of one fake shard for each name in `files`."""
    staging = Staging(str(folder / "staging"))
    (folder / "local").mkdir()
    return Launch(
        job_class=MRFake,
        spec=TaskSpec("test", {}, {}, staging.uri),
        plan=None,
        shards=tuple(NamedShard((Piece(name, 0, 1, 1),)) for name in files),
        finished=frozenset(),
        execution=ExecutionSpec(runner="local", **{"workers": 1, **options}),
        folder=folder / "local",
        staging=staging,
    )


def tried(folder):
    return (folder / "staging-tried").read_text().split()


def test_a_worker_that_is_killed_is_started_again(tmp_path):
    with pytest.raises(TaskKilledError, match="killed by signal 9, 3 times over") as raised:
        LocalLauncher().run(launch(tmp_path, "ok", "kill", "ok2"))
    assert "\n" not in raised.value.message
    assert tried(tmp_path) == ["ok", "kill", "kill", "kill"]  # and not "ok" again


def test_a_worker_that_ends_by_itself_is_not_started_again(tmp_path):
    with pytest.raises(JobError, match="a worker process ended with exit code 7$") as raised:
        LocalLauncher().run(launch(tmp_path, "ok", "exit"))
    assert raised.value.detail == "my last words"
    assert tried(tmp_path) == ["ok", "exit"]


def test_a_worker_that_says_why_is_not_started_again(tmp_path):
    job = launch(tmp_path, "error")
    with pytest.raises(JobError):
        LocalLauncher().run(job)
    assert [words["message"] for words in job.staging.errors()] == ["what it was"]
    assert tried(tmp_path) == ["error"]


def test_the_first_failure_ends_the_others(tmp_path):
    """Whichever worker it comes from: the first sleeps for a minute."""
    begun = time.monotonic()
    with pytest.raises(JobError, match="exit code 7"):
        LocalLauncher().run(launch(tmp_path, "sleep", "exit", workers=2))
    assert time.monotonic() - begun < 30
    assert "exit" in tried(tmp_path)


def test_one_process_per_core_and_thread(tmp_path, monkeypatch):
    launcher, cores = LocalLauncher(), len(os.sched_getaffinity(0))
    job = launch(tmp_path)
    assert launcher.workers(ExecutionSpec()) == cores
    assert launcher.workers(ExecutionSpec(threads=64)) == 1
    assert launcher.workers(ExecutionSpec(workers=9)) == 9
    monkeypatch.setattr(local, "free_memory", lambda: cores * 2 * local.BASE_MEMORY)
    for options, threads in (({}, 1), ({"threads": 2}, 2)):
        fitted = launcher._fitted(replace(job, execution=ExecutionSpec(**options)))
        assert launcher.threads(fitted) == threads


GB = 1 << 30


@pytest.mark.parametrize(
    ("options", "weights", "workers"),
    [
        ({}, 0, 8),
        ({}, GB, 4),
        ({}, 5 * GB, 1),  # the operating system may know better
        ({}, 9 * GB, 1),
        ({"prepare_workers": 4}, GB, 3),
        ({"threads": 2}, GB, 4),
        ({"threads": 4}, GB, 2),
        ({"workers": 7}, GB, 7),  # who says so gets it
    ],
)
def test_no_more_workers_than_fit_the_memory(monkeypatch, options, weights, workers):
    monkeypatch.setattr(local, "cores", lambda: 8)
    monkeypatch.setattr(local, "free_memory", lambda: 16 * GB)
    assert LocalLauncher().room(ExecutionSpec(**options), weights) == workers


def test_workers_that_fit_share_the_cores(lake, monkeypatch):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                size = len(batch["x"])
                return {"pid": [os.getpid()] * size, "threads": [torch.get_num_threads()] * size}
    """
    monkeypatch.setattr(local, "cores", lambda: 4)
    monkeypatch.setattr(local, "free_memory", lambda: 3 * local.BASE_MEMORY - 1)
    watcher = helpers.Listener()
    run(model(lake, code), lake / "in", lake / "out", watcher, runner="local", shard_size="1")
    rows = helpers.rows(lake / "out")
    assert ids(lake / "out") == list(range(30))
    assert len({row["pid"] for row in rows}) == 2
    assert {row["threads"] for row in rows} == {2}
    assert "2 of 4 workers, since that many fit the memory that is free (1.5 GB)" in watcher.said[0]


@pytest.fixture
def lake(tmp_path):
    for number in range(3):
        parquet(tmp_path / "in" / f"{number}.parquet", range(number * 10, number * 10 + 10))
    return tmp_path


def test_a_real_worker_that_is_killed(lake):
    """Same rows as inline, each once; what the model prints does no harm."""
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                killed = pathlib.Path(__file__).parent / "killed"
                if batch["x"][0] == 20 and not killed.exists():
                    killed.touch()
                    os.kill(os.getpid(), 9)
                print("printed by the model")
                return {"twice": batch["x"] * 2}
    """
    options = {"shard_size": "1", "workers": 1}
    found = run(model(lake, code), lake / "in", lake / "out", runner="local", **options)
    assert found.runner == "local"
    assert names(lake) == ["in", "killed", "model.py", "out"]
    run(f"{lake}/model.py:Model", lake / "in", lake / "inline", **options)
    assert names(lake / "out") == names(lake / "inline")
    assert helpers.rows(lake / "out") == helpers.rows(lake / "inline")
    assert ids(lake / "out") == list(range(30))


def test_one_row_group_keeps_all_workers_busy(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                return {"pid": [os.getpid()] * len(batch["x"]), "twice": batch["x"] * 2}
    """
    parquet(tmp_path / "in.parquet", range(2000))
    found = run(
        model(tmp_path, code), tmp_path / "in.parquet", tmp_path / "out", runner="local", workers=2
    )
    rows = helpers.rows(tmp_path / "out")
    assert [row["id"] for row in rows] == list(range(2000))
    assert all(row["twice"] == 2 * row["id"] for row in rows)
    assert sorted(Counter(row["pid"] for row in rows).values()) == pytest.approx([1000] * 2, abs=2)
    first, second = (shard["pieces"][0]["rows"] for shard in found.shards)
    assert (first[0], list(second)) == (0, [first[1], 2000])


def test_a_bad_row_behind_a_cut_has_its_number_in_the_file(tmp_path):
    parquet(tmp_path / "in.parquet", [*range(1500), None, *range(1501, 2000)])
    run(
        model(tmp_path), tmp_path / "in.parquet", tmp_path / "out", runner="local", workers=2,
        max_bad="1",
    )  # fmt: skip
    assert [letter["row"] for letter in helpers.bad(tmp_path / "out")] == [1500]


def test_a_worker_that_hangs_ends_itself_and_the_job(lake):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                time.sleep(600)
    """
    with pytest.raises(JobError, match="the task hung: nothing moved for 1.5 s, last while"):
        options = {"workers": 1, "batch_timeout": 1.5}
        run(model(lake, code), lake / "in", lake / "out", runner="local", **options)
    assert names(lake) == ["in", "model.py"]


SLOW = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def predict(self, batch):
            here = pathlib.Path(__file__).parent
            with (here / "seen").open("a") as file:
                file.writelines(f"{x}\\n" for x in batch["x"].tolist())
            while batch["x"][0] >= 10 and not (here / "go on").exists():
                time.sleep(0.05)
            return {"twice": batch["x"] * 2}
"""


def start(lake, workers):
    """The command, as a process that hangs with one of three shards finished."""
    words = ["predict", model(lake, SLOW), str(lake / "in"), "-o", str(lake / "out")]
    options = ["-r", "local", "--workers", str(workers), "--shard-size", "1", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mrmodel", *words, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    done = helpers.staging(lake / "out") / "done"
    begun = 10 * (1 + workers)
    while len(names(done)) < 1 or len((lake / "seen").read_text().split()) < begun:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == workers + 1  # and the fork server
    return process, children


def resume(lake):
    """Run the rest; what was predicted again."""
    helpers.seen(lake)
    (lake / "go on").touch()
    options = {"shard_size": "1", "resume": True}
    found = run(f"{lake}/model.py:Model", lake / "in", lake / "out", **options)
    assert ids(lake / "out") == list(range(30))
    assert (lake / "out" / "_SUCCESS").exists()
    assert not helpers.staging(lake / "out").exists()
    return found, sorted(helpers.seen(lake))


def test_ctrl_c(lake):
    process, workers = start(lake, 1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.startswith("Error: interrupted; 1 finished shards are kept for --resume in /")
    assert stderr.count("\n") == 1
    assert psutil.wait_procs(workers, 1)[1] == []
    assert names(lake) == [".out.mrmodel", "in", "model.py", "seen"]
    found, again = resume(lake)
    assert found.kept == 1
    assert again == [float(n) for n in range(10, 30)]


def test_driver_that_is_killed(lake):
    """Its workers end by themselves, and --resume does not do again what they finished."""
    process, workers = start(lake, 2)
    process.kill()
    process.communicate()
    assert psutil.wait_procs(workers, 10)[1] == []
    assert not (lake / "out").exists()
    found, again = resume(lake)
    assert found.kept == 1
    assert again == [float(n) for n in range(10, 30)]
