"""mrjob's local runner: tasks as processes on this machine."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from mrjob.local import LocalMRJobRunner
from mrjob.step import StepFailedException

from mrmodel.errors import JobError
from mrmodel.runners.base import Launch
from mrmodel.runners.sim import OneTaskPerFile, SimLauncher

ATTEMPTS = 3  # of a task that was killed; one that failed by itself is not tried again
STDERR_TAIL = 2000
KILL_AFTER = 10.0


class LocalRunner(OneTaskPerFile, LocalMRJobRunner):
    """Local, one process per manifest; threads wait for the processes.

    mrjob would fork a pool of Python processes to wait for them, which a driver with threads of
    its own must not do, and which leaves tasks behind when the driver is interrupted.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def _run_multiple(
        self, funcs: Iterable[Callable[[], None]], num_processes: int | None = None
    ) -> None:
        with ThreadPoolExecutor(self._num_cores()) as pool:
            futures = [pool.submit(func) for func in funcs]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop_all()
                raise

    def _invoke_task_func(self, task_type: str, step_num: int, task_num: int) -> Any:
        return partial(self._invoke, self._substep_args(step_num, task_type), step_num)

    def _invoke(
        self,
        args: list[str],
        step_num: int,
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
        wd: str,
        env: dict[str, str],
    ) -> None:
        with self._lock:
            if self._stopping:
                return
            # a session of its own: Ctrl-C on the terminal is the driver's to handle
            process = subprocess.Popen(
                args, stdin=stdin, stdout=stdout, stderr=stderr, cwd=wd, env=env,
                start_new_session=True,
            )  # fmt: skip
            self._processes.add(process)
        code = process.wait()
        if code and not self._stopping:
            raise StepFailedException(
                reason=_reason(code, Path(stderr.name)),
                step_num=step_num,
                num_steps=self._num_steps(),
            )

    def _stop_all(self) -> None:
        with self._lock:
            self._stopping = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(KILL_AFTER)
            except subprocess.TimeoutExpired:
                process.kill()


def _reason(code: int, stderr: Path) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    tail = stderr.read_bytes()[-STDERR_TAIL:].decode("utf-8", "replace").strip()
    return f"a worker process {how}" + (f"; its last words:\n{tail}" if tail else "")


class LocalLauncher(SimLauncher):
    """As many worker processes as cores, one torch thread each unless told otherwise."""

    name = "local"

    def threads(self, launch: Launch) -> int:
        return launch.execution.threads or 1

    def workers(self, launch: Launch) -> int:
        cores = len(os.sched_getaffinity(0))
        return launch.execution.workers or max(1, cores // self.threads(launch))

    def mrjob_args(self, launch: Launch) -> list[str]:
        return ["--num-cores", str(self.workers(launch))]

    def _run_manifests(self, launch: Launch, spec_file: Path) -> None:
        """Tasks that were killed are started again with the shards that are left."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                super()._run_manifests(self._left(launch), spec_file)
                return
            except JobError:
                if launch.staging.errors() or attempt == ATTEMPTS:
                    raise

    def _left(self, launch: Launch) -> Launch:
        done = {shard.key for shard in launch.remaining if launch.staging.is_done(shard.key)}
        return replace(launch, finished=launch.finished | done)
