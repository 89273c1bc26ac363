"""Processes that have torch in memory from their first moment: forks of one that imported it.

Importing torch, pyarrow and mrjob takes seconds of CPU, which every task would spend again: in
rounds of training, more than the arithmetic. The server imports them once and does nothing else,
so that it has no threads and its forks are whole. It ends when its driver does.

multiprocessing's own fork server cannot stand in: its processes import the main module of the
driver, which may be a user's script without a guard, and have the driver's stdin and stdout.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO

import numpy as np

from mrmodel.imports import end_process, quick_imports

_MODULES = ("mrmodel.tasks.run", "mrmodel.tasks.predict", "mrjob.job")
_LENGTH = 8  # bytes of the length before a request
_END = 10.0  # seconds for the server to see that it is not needed any more


class ForkedProcess:
    """What subprocess.Popen would be to the runner: a process that has begun."""

    def __init__(self, told: IO[bytes], pid: int):
        self._told, self.pid = told, pid
        self._code: int | None = None
        self._waiting = threading.Lock()  # one thread waits, others for it

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative when a signal killed it. Raises TimeoutExpired."""
        if not self._waiting.acquire(timeout=-1 if timeout is None else timeout):
            raise subprocess.TimeoutExpired("task", timeout or 0.0)
        try:
            if self._code is None:
                self._code = self._read(timeout)
            return self._code
        finally:
            self._waiting.release()

    def _read(self, timeout: float | None) -> int:
        look = select.poll()  # unlike select, for any number of open files
        look.register(self._told, select.POLLIN)
        if not look.poll(None if timeout is None else 1000 * timeout):
            raise subprocess.TimeoutExpired("task", timeout or 0.0)
        with self._told:
            # nothing: the server is gone, and with it whoever knows
            return int(self._told.readline() or -signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        try:
            self.wait(0)
        except subprocess.TimeoutExpired:
            # it may have ended just now, while another thread waits for its exit code
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class ForkServer:
    """The server, from the side of the driver."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "mrmodel.runners.fork_server", str(theirs.fileno())]
            # a session of its own: Ctrl-C on the terminal is the driver's to handle
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.close)

    def start(
        self,
        args: Sequence[str],
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
        cwd: str,
        env: Mapping[str, str],
    ) -> ForkedProcess:
        """Run the Python script ``args[0]`` with the other `args`, in a session of its own. Raises
        OSError where the server is gone."""
        ours, theirs = os.pipe()
        told = os.fdopen(ours, "rb", buffering=0)  # poll does not see what a buffer holds
        try:
            request = json.dumps({"args": list(args), "cwd": cwd, "env": dict(env)}).encode()
            files = [file.fileno() for file in (stdin, stdout, stderr)]
            with self._lock:
                head = len(request).to_bytes(_LENGTH, "big")
                socket.send_fds(self._channel, [head], [*files, theirs])
                self._channel.sendall(request)
        finally:
            os.close(theirs)
        pid = told.readline()
        if not pid:
            raise ConnectionError("the fork server is gone")
        return ForkedProcess(told, int(pid))

    def close(self) -> None:
        """End the server; what it started goes on."""
        self._channel.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()


@functools.cache
def fork_server() -> ForkServer | None:
    """The server of this driver, which begins to import with the first call; None on systems where
    forks of processes with libraries are not safe."""
    return ForkServer() if sys.platform == "linux" else None


@dataclass(frozen=True)
class _Request:
    files: list[int]  # stdin, stdout, stderr, and where to tell pid and exit code
    args: list[str]
    cwd: str
    env: dict[str, str]


def _serve(channel: socket.socket) -> _Request | None:
    """Fork for every request until the driver is gone. In a fork: what it is to do."""
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    running: dict[int, int] = {}
    while True:
        ready = select.select([channel, awake], [], [])[0]
        if awake in ready:
            awake.recv(4096)
            _tell_ended(running)
        if channel not in ready:
            continue
        request = _receive(channel)
        if request is None:
            return None
        pid = _fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            for open_ in (channel, awake, wake):
                open_.close()
            for told in (*running.values(), request.files[3]):
                os.close(told)
            return request
        for file in request.files[:3]:
            os.close(file)
        running[pid] = request.files[3]
        _tell(running[pid], pid)


def _fork() -> int:
    """os.fork without the warning of Python 3.12 and later, which users would see: libraries have
    threads here, but they are asleep, as this process has done nothing but import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _receive(channel: socket.socket) -> _Request | None:
    head, files, _, _ = socket.recv_fds(channel, _LENGTH, 4)
    if len(head) < _LENGTH:
        return None
    left, parts = int.from_bytes(head, "big"), []
    while left and (part := channel.recv(left)):
        parts.append(part)
        left -= len(part)
    return None if left else _Request(files, **json.loads(b"".join(parts)))


def _tell_ended(running: dict[int, int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            told = running.pop(pid)
            _tell(told, os.waitstatus_to_exitcode(status))
            os.close(told)


def _tell(told: int, number: int) -> None:
    try:
        os.write(told, f"{number}\n".encode())
    except BrokenPipeError:
        pass  # the driver is gone, or does not want to know


def _run(request: _Request) -> None:
    """Be the script that was asked for, as a new interpreter would."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(request.files[:3]):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.env)
    script = request.args[0]
    paths = [path for path in request.env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [os.path.dirname(os.path.abspath(script)), *paths]
    sys.argv = list(request.args)
    np.random.seed()  # every fork has the server's numbers before it, as no new interpreter has
    runpy.run_path(script, run_name="__main__")


def _exit_code(request: _Request) -> int:
    try:
        _run(request)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 as an interpreter would
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Be the server that `ForkServer` has started, and then one of its forks."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    with quick_imports():
        for name in _MODULES:
            import_module(name)
    request = _serve(channel)
    # in a fork, an interpreter's own end would copy the memory that it shares, too
    end_process(0 if request is None else _exit_code(request))


if __name__ == "__main__":
    main()
