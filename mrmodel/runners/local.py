"""mrjob's local runner: tasks as processes on this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from mrjob.local import LocalMRJobRunner
from mrjob.step import StepFailedException

from mrmodel.errors import JobError, TaskKilledError
from mrmodel.machine import cores, free_memory
from mrmodel.runners.base import WEIGHTS_FACTOR, Launch
from mrmodel.runners.fork_server import ForkedProcess, fork_server
from mrmodel.runners.sim import OneTaskPerFile, SimLauncher
from mrmodel.shards.balance import even_shards
from mrmodel.shards.plan import Source
from mrmodel.shards.shard import Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.units import format_size

ATTEMPTS = 3  # of a task that was killed; one that failed by itself is not tried again
STDERR_TAIL = 2000
KILL_AFTER = 10.0
# Python with torch, pyarrow and what a model imports; windows and batches of the pipeline
BASE_MEMORY = 512 << 20
FORK_MEMORY = 256 << 20


class WorkerFailed(StepFailedException):
    """A worker process ended with `code`, negative when a signal killed it; `tail` is the end of
    what it said."""

    def __init__(self, code: int, tail: str, step_num: int, num_steps: int):
        self.code = code
        self.tail = tail
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"a worker process {how}", step_num, num_steps)

    @property
    def was_killed(self) -> bool:
        return self.code < 0


class LocalRunner(OneTaskPerFile, LocalMRJobRunner):
    """Local, one process per manifest; threads wait for the processes.

    mrjob would fork a pool of Python processes to wait for them, which a driver with threads of
    its own must not do, and which leaves tasks behind when the driver is interrupted.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._processes: set[ForkedProcess | subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def _run_multiple(
        self, funcs: Iterable[Callable[[], None]], num_processes: int | None = None
    ) -> None:
        with ThreadPoolExecutor(self._num_cores()) as pool:
            try:
                futures = [pool.submit(func) for func in funcs]
                for future in as_completed(futures):
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
            process = _start(args, stdin, stdout, stderr, wd, env)
            self._processes.add(process)
        code = process.wait()
        if code and not self._stopping:
            raise WorkerFailed(code, _tail(Path(stderr.name)), step_num, self._num_steps())

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


def _start(
    args: list[str],
    stdin: IO[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes],
    wd: str,
    env: dict[str, str],
) -> ForkedProcess | subprocess.Popen:
    """A process in a session of its own: Ctrl-C on the terminal is the driver's to handle."""
    server = fork_server() if args[0] == sys.executable else None
    if server is not None:
        try:
            return server.start(args[1:], stdin, stdout, stderr, wd, env)
        except OSError:  # somebody killed it: the next job has a new one
            fork_server.cache_clear()
    return subprocess.Popen(
        args, stdin=stdin, stdout=stdout, stderr=stderr, cwd=wd, env=env, start_new_session=True
    )


def _gave_up(failed: WorkerFailed, attempts: int) -> JobError:
    if not failed.was_killed:
        return JobError(f"{failed.reason}", detail=failed.tail)
    return TaskKilledError(
        f"{failed.reason}, {attempts} times over: signal 9 is most often a lack of memory; lower "
        f"--workers or --batch-size",
        detail=failed.tail,
    )


def _tail(stderr: Path) -> str:
    return stderr.read_bytes()[-STDERR_TAIL:].decode("utf-8", "replace").strip()


def worker_bytes(weights_bytes: int, prepare_workers: int) -> int:
    """What a worker may take at its peak, for a model with weights of that size; most of what its
    processes that prepare have they share with it."""
    return BASE_MEMORY + prepare_workers * FORK_MEMORY + int(WEIGHTS_FACTOR * weights_bytes)


class LocalLauncher(SimLauncher):
    """As many worker processes as cores, one torch thread each unless told otherwise."""

    name = "local"

    def __init__(self) -> None:
        super().__init__()
        self._told: int | None = None

    def check(self, uris: list[str]) -> None:
        fork_server()  # it imports while the job is planned

    def run(self, launch: Launch) -> None:
        super().run(self._fitted(launch))

    def _fitted(self, launch: Launch) -> Launch:
        """`launch` with as many workers as there is memory for, and their threads."""
        execution = launch.execution
        wanted, workers = self.workers(execution), self.room(execution, launch.weights_bytes)
        threads = execution.threads or (1 if workers == wanted else cores() // workers)
        if workers < wanted and workers != self._told:
            self._told = workers  # once, not in each round
            launch.say(
                f"{workers} of {wanted} workers, since that many fit the memory that is free "
                f"({format_size(free_memory())}): --workers N has N of them all the same"
            )
        return replace(launch, execution=replace(execution, workers=workers, threads=threads))

    def room(self, execution: ExecutionSpec, weights_bytes: int) -> int:
        """A worker per core, but no more than fit the free memory, unless told otherwise."""
        wanted = self.workers(execution)
        if execution.workers:
            return wanted
        fit = free_memory() // worker_bytes(weights_bytes, execution.prepare_workers)
        return max(1, min(wanted, fit))

    def cut(
        self, sources: Sequence[Source], shard_size: int, execution: ExecutionSpec
    ) -> tuple[Shard, ...]:
        return even_shards(sources, shard_size, self.workers(execution))

    def workers(self, execution: ExecutionSpec) -> int:
        return execution.workers or max(1, cores() // (execution.threads or 1))

    def mrjob_args(self, launch: Launch) -> list[str]:
        return ["--num-cores", str(self.workers(launch.execution))]

    def _run_manifests(self, launch: Launch, spec_file: Path) -> None:
        """Tasks that were killed are started again with the shards that are left."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                super()._run_manifests(self._left(launch), spec_file)
                return
            except JobError as error:
                failed = error.__cause__
                if not isinstance(failed, WorkerFailed) or launch.staging.errors():
                    raise
                if not failed.was_killed or attempt == ATTEMPTS:
                    raise _gave_up(failed, attempt) from error
                launch.staging.clear_gang()  # nobody lives who could say that it is over

    def _left(self, launch: Launch) -> Launch:
        # reducers need what every shard has to say, and so do the tasks of a gang
        if launch.reducers or launch.patience is not None:
            return launch
        done = {shard.key for shard in launch.remaining if launch.staging.is_done(shard.key)}
        return replace(launch, finished=launch.finished | done)
