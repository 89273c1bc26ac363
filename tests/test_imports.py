"""What processes of our own do when they import torch, and when they end."""

import json
import os
import subprocess
import sys

import pytest

ENDING = """
import atexit, sys, threading, time
from mrmodel.imports import end_process

def work():
    time.sleep(0.2)
    print("thread")

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
atexit.register(print, "atexit")
threading.Thread(target=work).start()
sys.stdout.write("buffered ")
end_process(3)
"""


def test_an_end_waits_for_threads_and_takes_nothing_apart():
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "buffered thread\natexit\n", "")


def test_an_end_with_nobody_who_reads():
    code = "import sys; from mrmodel.imports import end_process; sys.stdout.close(); end_process(4)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 4


_TOLD = """
import json, os
from mrmodel.imports import quick_imports
with quick_imports():
    import json
print(json.dumps([os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")]))
"""


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({}, ["PASSIVE", "1000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "5"}, ["PASSIVE", "5"]),
    ],
)
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(own, told):
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", _TOLD],
        env={**env, **own},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == told
