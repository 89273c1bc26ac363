"""Where a task begins: what mrjob's mapper and reducer call, on every runner.

Of the kinds of tasks none is imported here: a process imports the one that it runs. What training
together needs of torch takes a second to import.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from mrmodel import storage
from mrmodel.errors import JobError, MrmodelError
from mrmodel.imports import end_process
from mrmodel.shards.shard import Piece, Shard
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.drain import Drain
from mrmodel.tasks.reduce import Reduce, reduce_groups
from mrmodel.tasks.reporter import Reporter, new_reporter
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.stdio import stdout_to_stderr, take_stdin
from mrmodel.tensors import wire


class Task(Protocol):
    """One attempt at some shards."""

    def run(self, shards: Iterable[Shard]) -> None: ...


class NewTask(Protocol):
    """Makes a task of one kind. `stdout` is where records for reducers go."""

    def __call__(
        self,
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        stdout: IO[bytes],
        on_share: Callable[[float], None],
    ) -> Task: ...


def sending(kind: Callable[..., Task]) -> NewTask:
    """Makes tasks of `kind`, whose records go to reducers."""

    def new_task(
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        stdout: IO[bytes],
        on_share: Callable[[float], None],
    ) -> Task:
        spell = wire.raw if context.is_hadoop else wire.line
        return kind(spec, context, reporter, lambda r: stdout.write(spell(r)), on_share)

    return new_task


def run_in_process(
    spec_file: Path,
    stdin: Iterable[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes],
    new_task: NewTask,
) -> None:
    """Run the shards of the manifest `stdin` in this process (the inline runner). mrjob reads
    counters from `stderr`."""
    spec = TaskSpec.read(spec_file)
    context = TaskContext.from_environment(has_driver=spec.driver_pid is not None)
    reporter = new_reporter(spec, context, stderr)
    with _printing_to_stderr():
        new_task(spec, context, reporter, stdout, _nobody_asks).run(shards_of_manifest(stdin))


def run_as_process(spec_file: Path, files: Path | None, new_task: NewTask) -> None:
    """Run what stdin (or, with `files`, Hadoop's split) says; this process is the task.

    Ends the process with exit code 1 and one line on stderr when the task fails.
    """
    stdin = take_stdin()
    with _as_process(spec_file) as (spec, context, stdout):
        if files is None:
            _run_manifest(spec, context, stdin, stdout, new_task)
        else:
            _run_split(spec, context, stdin, stdout, files, new_task)


def reduce_in_process(
    spec_file: Path, stdin: Iterable[bytes], stderr: IO[bytes], reduce: Reduce
) -> None:
    """Reduce the lines `stdin` in this process."""
    spec = TaskSpec.read(spec_file)
    context = TaskContext.from_environment(has_driver=spec.driver_pid is not None)
    reporter = new_reporter(spec, context, stderr)
    with _printing_to_stderr():
        reduce_groups(spec, context, reporter, wire.read_lines(stdin), reduce)


def reduce_as_process(spec_file: Path, reduce: Reduce) -> None:
    """Reduce what stdin holds; this process is the task. Ends as `run_as_process` does."""
    stdin = take_stdin()
    with _as_process(spec_file) as (spec, context, _), open(stdin, "rb") as stream:
        read = wire.read_raw if context.is_hadoop else wire.read_lines
        reduce_groups(spec, context, new_reporter(spec, context), read(stream), reduce)


@contextmanager
def _as_process(spec_file: Path) -> Iterator[tuple[TaskSpec, TaskContext, IO[bytes]]]:
    """What a task is told, where it is, and its stdout, which is nobody else's. The process ends
    with the context."""
    spec = TaskSpec.read(spec_file)
    context = TaskContext.from_environment(has_driver=spec.driver_pid is not None)
    with stdout_to_stderr() as number, open(number, "wb", closefd=False) as stdout:
        try:
            yield spec, context, stdout
        except MrmodelError as error:
            print(f"mrmodel: {error.message}\n{error.detail}".rstrip(), file=sys.stderr)
            end_process(1)
    end_process(0)


def _nobody_asks(share: float) -> None:
    pass


@contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """mrjob gives its tasks binary files as sys.stdout and sys.stderr, on which the user's
    print() would fail."""
    mrjobs = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = sys.__stderr__
    try:
        yield
    finally:
        sys.stdout, sys.stderr = mrjobs


def _run_manifest(
    spec: TaskSpec, context: TaskContext, stdin: int, stdout: IO[bytes], new_task: NewTask
) -> None:
    with open(stdin, "rb") as lines:
        shards = shards_of_manifest(lines)
    new_task(spec, context, new_reporter(spec, context), stdout, _nobody_asks).run(shards)


def _run_split(
    spec: TaskSpec,
    context: TaskContext,
    stdin: int,
    stdout: IO[bytes],
    files: Path,
    new_task: NewTask,
) -> None:
    shard = shard_of_split(context, json.loads(files.read_text()))
    drain = Drain(stdin, shard.length)
    new_task(spec, context, new_reporter(spec, context), stdout, drain.advance).run([shard])
    drain.finish()


def shards_of_manifest(lines: IO[bytes] | Iterable[bytes]) -> list[Shard]:
    """The shards named by the lines of a manifest; a line may be preceded by Hadoop's key."""
    return [Shard.from_dict(json.loads(line.split(b"\t")[-1])) for line in lines if line.strip()]


def shard_of_split(context: TaskContext, files: dict[str, dict]) -> Shard:
    """The shard that is the split which Hadoop gave this task.

    `files` holds the whole piece of every input file by its path without the authority, since
    Hadoop may spell the authority in another way.
    """
    if context.split is None:
        raise JobError("expected Hadoop to name the task's split but received none")
    uri, start, length = context.split
    whole = files.get(path_of(uri))
    if whole is None:
        raise JobError(f"Hadoop gave a split of {uri}, which is not among the job's input files")
    return Shard((replace(Piece(**whole), start=start, length=length),))


def path_of(uri: str) -> str:
    """`uri` without scheme and authority."""
    return storage.split(uri)[2]
