"""Ends of processes that cost less."""

import subprocess
import sys

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
