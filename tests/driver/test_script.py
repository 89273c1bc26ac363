"""Job scripts with mrjob's own options."""

import signal
import sys
import threading

import pytest

from mrmodel.driver import script
from mrmodel.driver.script import mrjob_args
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.jobs.mr_train import MRTrain


@pytest.mark.parametrize(
    ("argv", "inputs", "kept"),
    [
        ("--model m.py:Net data -r local --output-dir out", ["data"], ""),
        ("--model=m.py:Net a b --runner=local -o out", ["a", "b"], ""),
        ("-r hadoop -D a=b --jobconf c=d a", ["a"], "-D a=b --jobconf c=d"),
        ("a --conf-path x.conf", ["a"], "--conf-path x.conf"),
        ("--overwrite --resume --max-bad 2% --cleanup NONE a", ["a"], "--cleanup NONE"),
    ],
)  # fmt: skip
def test_what_is_left_for_mrjob(argv, inputs, kept):
    assert mrjob_args(argv.split(), inputs) == kept.split()


def test_the_jobs_of_a_training_get_what_its_script_says_to_hadoop(monkeypatch):
    class MRMine(MRTrain):
        JOBCONF = {"mapreduce.map.maxattempts": 7}
        MODEL = "net.py:Net"
        WORKERS = 3

    options = "-r hadoop -D a=b --lr 0.5 --validation v --validation=w --output-dir out"
    argv = [*options.split(), "in"]
    monkeypatch.setattr("sys.argv", ["mr_mine.py", *argv])
    found = []
    monkeypatch.setattr(script, "train", lambda job, watcher: found.append(job) or sys.exit(0))
    with pytest.raises(SystemExit):
        MRMine(argv).run_job()
    (job,) = found
    assert job.execution.jobconf == {"mapreduce.map.maxattempts": "7"}
    assert job.execution.mrjob_args == ("-D", "a=b")
    assert (job.execution.runner, job.execution.workers) == ("hadoop", 3)
    assert (job.train.lr, job.train.validation, job.train.rounds) == (0.5, ("v", "w"), 10)
    assert (job.data.uris, job.output.uri) == (("in",), "out")


def test_a_polite_kill_is_a_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminate_is_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_thread_signals_are_left_alone():
    done = []

    def work():
        with terminate_is_interrupt():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
