"""mrjob's hadoop runner, and what ``hadoop jar`` says while it runs."""

from __future__ import annotations

import functools
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Any

from mrjob.fs.composite import CompositeFilesystem
from mrjob.fs.hadoop import HadoopFilesystem
from mrjob.fs.local import LocalFilesystem
from mrjob.hadoop import HadoopJobRunner
from mrjob.logs.step import _interpret_hadoop_jar_command_stderr

from mrmodel.errors import JobError
from mrmodel.runners.mrjob_fs import NativeFilesystem

_APPLICATION = re.compile(r"(?:Submitted application |job_)(?:application_)?(\d+_\d+)")
_URL = re.compile(r"The url to track the job: (\S+)")
_RUNNING = re.compile(r"Job job_\S+ running")
_KEPT_LINES = 400
_VERSION = re.compile(r"hadoop-streaming-(\d+\.\d[^/]*)\.jar$")


class Submission:
    """What is known of one ``hadoop jar``: its application and page, when it was submitted and its
    master ran, and the last lines."""

    def __init__(self) -> None:
        self.application: str | None = None
        self.url: str | None = None
        self.submitted_at: float | None = None
        self.running_at: float | None = None
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.process: subprocess.Popen | None = None
        self._cancelled = False
        self._lock = threading.Lock()

    def start(self, run: Callable[[], subprocess.Popen]) -> subprocess.Popen:
        """Start the command, which `run` does. Raises JobError when it was cancelled."""
        with self._lock:
            if self._cancelled:
                raise JobError("the job was cancelled before it was submitted")
            self.process = run()
            return self.process

    def cancel(self) -> None:
        """Do not start the command any more; one that runs goes on."""
        with self._lock:
            self._cancelled = True

    def see(self, line: str) -> None:
        """Take in a line of what the command prints."""
        self.lines.append(line)
        found = _APPLICATION.search(line)
        if found and self.application is None:
            self.application = f"application_{found[1]}"
            self.submitted_at = time.time()
        if self.running_at is None and _RUNNING.search(line):
            self.running_at = time.time()
        url = _URL.search(line)
        if url:
            self.url = url[1]

    def wait_for_application(self, seconds: float) -> str | None:
        """The application's name, once the client has submitted it; None when it does not in
        `seconds`, or has ended."""
        until = time.monotonic() + seconds
        while self.application is None and self._is_submitting() and time.monotonic() < until:
            time.sleep(0.1)
        return self.application

    def _is_submitting(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class HadoopRunner(HadoopJobRunner):
    """Submits as mrjob does, but reads HDFS without a JVM and shows what it hears to
    ``submission`` (set it before running)."""

    submission: Submission | None = None

    @functools.cached_property
    def _native(self) -> NativeFilesystem:
        return NativeFilesystem(self._opts["hadoop_bin"] or None)

    @property
    def fs(self) -> CompositeFilesystem:
        if self._fs is None:
            self._fs = CompositeFilesystem()
            self._fs.add_fs("hadoop", self._native)
            self._fs.add_fs("local", LocalFilesystem())
        return self._fs

    def _upload_local_files(self) -> None:
        """Side by side: HDFS may take half a second to close a file."""
        with self._native.putting_together():
            super()._upload_local_files()

    def get_hadoop_version(self) -> str:
        named = _VERSION.search(self.get_hadoop_streaming_jar() or "")
        return named[1] if named else _hadoop_version(tuple(self.get_hadoop_bin()))

    def _read_logs(self) -> bool:
        """No: tasks leave their last words in the staging folder, which is quicker and surer."""
        return False

    def _run_hadoop(
        self, hadoop_args: list[str], env: dict[str, str], record_callback: Callable[[Any], None]
    ) -> tuple[int, dict[str, Any]]:
        """Without mrjob's pseudo-terminal: forking a process that has threads can hang it."""
        # a session of its own: Ctrl-C on the terminal is the driver's to handle
        submission = self.submission or Submission()
        process = submission.start(
            lambda: subprocess.Popen(
                hadoop_args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env=env, start_new_session=True,
            )
        )  # fmt: skip
        with process.stdout:
            told = _interpret_hadoop_jar_command_stderr(
                _seen(process.stdout, submission), record_callback=record_callback
            )
        return process.wait(), told


@functools.cache
def _hadoop_version(binary: tuple[str, ...]) -> str:
    """Asked once, and only where no file's name says it: the answer takes a JVM, and every round
    of training is a job."""
    return HadoopFilesystem(list(binary)).get_hadoop_version()


def _seen(stream: IO[bytes], submission: Submission) -> Iterator[bytes]:
    for line in stream:
        submission.see(line.decode("utf-8", "replace").rstrip())
        yield line


class Submissions:
    """The submissions of one job: data-local splits and a manifest may be two."""

    def __init__(self) -> None:
        self._all: list[Submission] = []
        self._cancelled = False
        self._lock = threading.Lock()

    def new(self) -> Submission:
        with self._lock:
            self._all.append(Submission())
            if self._cancelled:
                self._all[-1].cancel()
            return self._all[-1]

    def cancel(self) -> None:
        """Start none any more."""
        with self._lock:
            self._cancelled = True
            for submission in self._all:
                submission.cancel()

    def __iter__(self) -> Iterator[Submission]:
        with self._lock:
            return iter(list(self._all))
