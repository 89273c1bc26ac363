"""Processes by identity, not by pid alone: a pid of yesterday may be anyone's today."""

import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")


def start_time(pid):
    """Clock ticks from boot to its start; None when there is no such process, or a zombie."""
    try:
        # the second field, the name in brackets, may itself hold spaces and brackets
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(pid, started):
    return pid > 0 and start_time(pid) == started


def marked(mark):
    """(pid, started) of every process that has `mark` (NAME=VALUE) in its environment."""
    wanted = mark.encode()
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _has(entry, wanted):
            started = start_time(int(entry.name))
            if started is not None:
                found.append((int(entry.name), started))
    return found


def _has(entry, wanted):
    try:
        return wanted in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or another user's
        return False


def stop(processes, seconds):
    """SIGTERM to all, a bounded wait, then SIGKILL to those still there; returns the latter."""
    _signal(processes, signal.SIGTERM)
    left = _wait(processes, seconds)
    _signal(left, signal.SIGKILL)
    _wait(left, 5)
    return left


def _signal(processes, number):
    for pid, started in processes:
        if alive(pid, started):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def _wait(processes, seconds):
    deadline = time.monotonic() + seconds
    while True:
        _reap()
        processes = [p for p in processes if alive(*p)]
        if not processes or time.monotonic() > deadline:
            return processes
        time.sleep(0.05)


def _reap():
    """Children of this very process (a failed `up`) would stay zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
