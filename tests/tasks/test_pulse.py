"""Alive, hung or orphaned."""

import subprocess
import sys
import threading
import time

from mrmodel.tasks.pulse import HUNG_EXIT_CODE, Pulse

# torch is not imported by the pulse, so a process of its own is cheap
HUNG = """
import sys, threading, time
from pathlib import Path
from mrmodel.tasks.pulse import Pulse

def on_hung(text):
    Path(sys.argv[1]).write_text(text)
    if sys.argv[2] == "storage hangs":
        threading.Event().wait()

pulse = Pulse(0.2, lambda text: None, on_hung, interval=0.05, patience=0.3,
              driver_pid=int(sys.argv[3]) or None)
with pulse:
    pulse.beat("predicting x")
    time.sleep(60)
"""


def run(tmp_path, storage="works", driver=0):
    return subprocess.run(
        [sys.executable, "-c", HUNG, str(tmp_path / "words"), storage, str(driver)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_a_hung_task_ends_itself_and_says_what_it_did(tmp_path):
    done = run(tmp_path)
    assert done.returncode == HUNG_EXIT_CODE
    assert (tmp_path / "words").read_text() == "nothing moved for 0.2 s, last while predicting x"
    assert "the task hung: nothing moved" in done.stderr
    assert "Thread" in done.stderr  # the stacks, to see where


def test_a_hung_task_ends_even_if_it_cannot_tell(tmp_path):
    assert run(tmp_path, "storage hangs").returncode == HUNG_EXIT_CODE


def test_a_task_whose_driver_is_gone_ends_itself(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = run(tmp_path, driver=gone.pid)
    assert done.returncode == HUNG_EXIT_CODE
    assert not (tmp_path / "words").exists()


def test_a_driver_that_nobody_waited_for_is_gone_too(tmp_path):
    zombie = subprocess.Popen(["true"])
    time.sleep(0.1)
    try:
        assert run(tmp_path, driver=zombie.pid).returncode == HUNG_EXIT_CODE
    finally:
        zombie.wait()


def test_beats_while_work_moves():
    said, hung = [], []
    with Pulse(0.5, said.append, hung.append, interval=0.05) as pulse:
        for step in range(10):
            pulse.beat(f"step {step}")
            time.sleep(0.1)
    assert hung == []
    assert len(said) > 3
    assert said[-1].startswith("step")


def test_the_thread_ends_with_the_work():
    before = threading.active_count()
    with Pulse(60, lambda text: None, lambda text: None, interval=0.01):
        pass
    assert threading.active_count() == before
