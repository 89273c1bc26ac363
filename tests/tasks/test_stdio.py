"""Nobody but the task writes to its stdout or reads from its stdin."""

import subprocess
import sys

OUT = """
import os, subprocess, sys
from mrmodel.tasks.stdio import stdout_to_stderr
print("before")
with stdout_to_stderr():
    print("print")
    os.write(1, b"write\\n")
    subprocess.run(["echo", "child"])
    sys.stdout.write("unflushed")
print("after")
"""

IN = """
import os, subprocess, sys
from mrmodel.tasks.stdio import take_stdin
ours = take_stdin()
print(repr(sys.stdin.read()), subprocess.run(["cat"], capture_output=True).stdout)
with open(ours, "rb") as lines:
    print(lines.read())
"""


def run(code, text=""):
    return subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, timeout=30
    )


def test_whatever_is_printed_goes_to_stderr():
    done = run(OUT)
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "print\nwrite\nchild\nunflushed"


def test_stdin_is_the_tasks_own():
    done = run(IN, "the manifest\n")
    assert done.stdout == "'' b''\nb'the manifest\\n'\n"
