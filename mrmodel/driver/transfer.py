"""Copying files and folders between storages, so that a copy is there whole or not at all.

Each file is written under a temporary name beside its place, read back and compared with what was
read from the source (SHA-256), and only then renamed. hdfs-native does not offer HDFS's own file
checksums, so a copy on HDFS is read back too.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from mrmodel.driver.transfer_plan import File, Plan, make_plan, part_name, told
from mrmodel.errors import (
    InputError,
    InterruptedJobError,
    JobError,
    MrmodelError,
    OutputExistsError,
    UsageError,
)
from mrmodel.storage import basename, join, parent, storage_for

PIECE = 8 << 20
# readers trust a folder that has it, so it comes after all else
_LAST = "_SUCCESS"


class Watcher:
    """Told what happens, from several threads; does nothing."""

    def begin(self, plan: Plan) -> None:
        """All that is to do is known."""

    def advance(self, size: int) -> None:
        """`size` bytes more are copied or found to be there."""

    def done(self, file: File, skipped: bool) -> None:
        """`file` is in place."""

    def end(self) -> None:
        """No more comes, be it for an error."""


@dataclass
class Report:
    """What was done."""

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    copied_size: int = 0
    skipped_size: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict:
        return {
            "copied": sorted(self.copied),
            "skipped": sorted(self.skipped),
            "bytes": {"copied": self.copied_size, "skipped": self.skipped_size},
            "seconds": round(self.seconds, 3),
        }


def transfer(
    sources: Iterable[str],
    target: str,
    overwrite: bool = False,
    jobs: int = 4,
    watcher: Watcher | None = None,
) -> Report:
    """Copy `sources` to `target`, `jobs` files at once.

    Files that are there with the same content are left alone, so that a run that was cut short
    goes on where it stopped. Raises InputError for sources that are not there, OutputExistsError
    before anything is written where other content is there and `overwrite` is not set, JobError
    when a copy fails, ServiceError, and InterruptedJobError on Ctrl-C.
    """
    try:
        plan = make_plan(sources, target)
    except OSError as error:
        raise InputError(told(error)) from error
    return _Run(plan, overwrite, watcher or Watcher()).run(jobs)


class _Stopped(Exception):
    """Another file failed, or Ctrl-C: leave no trace and go."""


class _Run:
    """One transfer under way."""

    def __init__(self, plan: Plan, overwrite: bool, watcher: Watcher):
        self._plan, self._overwrite, self._watcher = plan, overwrite, watcher
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._report = Report()

    def run(self, jobs: int) -> Report:
        begun = time.monotonic()
        self._watcher.begin(self._plan)
        try:
            with ThreadPoolExecutor(max(1, jobs), thread_name_prefix="transfer") as pool:
                self._run(pool)
        except KeyboardInterrupt as error:
            raise InterruptedJobError(self._how_far()) from error
        finally:
            self._watcher.end()
        self._report.seconds = time.monotonic() - begun
        return self._report

    def _run(self, pool: ThreadPoolExecutor) -> None:
        """All of it; an error, or Ctrl-C at any moment, stops what is under way, for which leaving
        the pool waits."""
        try:
            self._copy_all(pool, self._compare_all(pool))
        except BaseException:
            self._stop.set()
            raise

    def _how_far(self) -> str:
        done = len(self._report.copied) + len(self._report.skipped)
        return (
            f"interrupted; {done:,} of {len(self._plan.files):,} files are in place: "
            "the same command again copies the rest"
        )

    def _compare_all(self, pool: ThreadPoolExecutor) -> list[File]:
        """The files to copy; before anything is written, since what is in the way refuses all."""
        there = [file for file in self._plan.files if file.there]
        self._refuse([file for file in there if not _as_long(file)])
        same = dict(zip(there, self._each(pool, self._is_there, there), strict=True))
        self._refuse([file for file in there if not same[file]])
        for file in there:
            if same[file]:
                self._note(file, skipped=True)
        return [file for file in self._plan.files if not same.get(file)]

    def _refuse(self, in_the_way: list[File]) -> None:
        for file in in_the_way:
            if file.there.is_dir:
                raise UsageError(f"{file.target}: expected no folder where a file is to be")
        if in_the_way and not self._overwrite:
            more = f" (and {len(in_the_way) - 1:,} more)" if len(in_the_way) > 1 else ""
            raise OutputExistsError(
                f"{in_the_way[0].target}{more} is there already with other content: "
                "--overwrite replaces it"
            )

    def _is_there(self, file: File) -> bool:
        """Whether the target has the source's content already."""
        return _as_long(file) and self._digest(file.source.uri) == self._digest(file.target)

    def _copy_all(self, pool: ThreadPoolExecutor, todo: list[File]) -> None:
        self._each(pool, _make_folder, self._plan.folders)
        last = [file for file in todo if basename(file.target) == _LAST]
        self._each(pool, self._copy, [file for file in todo if file not in set(last)])
        self._each(pool, self._copy, last)

    def _each(self, pool: ThreadPoolExecutor, act: Callable, items: Iterable) -> list:
        """`act` on all items; the first error is raised."""
        futures = [pool.submit(self._unless_stopped, act, item) for item in items]
        wait(futures, return_when=FIRST_EXCEPTION)
        if self._stop.is_set():
            wait(futures)  # soon: who was stopped may end before the one who failed
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None and not isinstance(error, _Stopped):
                raise _as_ours(error)
        return [future.result() for future in futures]

    def _unless_stopped(self, act: Callable, item: object) -> object:
        if self._stop.is_set():
            raise _Stopped
        try:
            return act(item)
        except BaseException:
            self._stop.set()  # at once: the main thread may be long in coming
            raise

    def _copy(self, file: File) -> None:
        storage = storage_for(file.target)
        part = join(parent(file.target), part_name())
        try:
            written = self._write(file, part)
            if self._digest(part) != written:
                raise JobError(
                    f"{file.target}: what was written differs from {file.source.uri} when read "
                    "back: is a disk or the network failing? Nothing was put in its place"
                )
            self._promote(storage, part, file)
        except BaseException:
            _discard(part)
            raise
        self._note(file, skipped=False)

    def _write(self, file: File, part: str) -> str:
        """Copy to `part`; returns the digest of what was read."""
        digest, size = hashlib.sha256(), 0
        reader = storage_for(file.source.uri).open(file.source.uri)
        with reader, storage_for(part).create(part) as writer:
            while piece := self._read(reader):
                writer.write(piece)
                digest.update(piece)
                size += len(piece)
                self._watcher.advance(len(piece))
        if size != file.source.size:
            raise JobError(
                f"{file.source.uri} changed while it was read: expected {file.source.size:,} bytes "
                f"but received {size:,}; try again when nobody writes to it"
            )
        return digest.hexdigest()

    def _read(self, reader) -> bytes:
        if self._stop.is_set():
            raise _Stopped
        return reader.read(PIECE)

    def _digest(self, uri: str) -> str:
        digest = hashlib.sha256()
        with storage_for(uri).open(uri) as reader:
            while piece := self._read(reader):
                digest.update(piece)
        return digest.hexdigest()

    def _promote(self, storage, part: str, file: File) -> None:
        if self._overwrite:
            storage.replace(part, file.target)
            return
        try:
            storage.rename(part, file.target)
        except FileExistsError as error:
            raise OutputExistsError(
                f"{file.target} was written by somebody else meanwhile: --overwrite replaces it"
            ) from error

    def _note(self, file: File, skipped: bool) -> None:
        size = file.source.size
        with self._lock:
            if skipped:
                self._report.skipped.append(file.target)
                self._report.skipped_size += size
            else:
                self._report.copied.append(file.target)
                self._report.copied_size += size
        if skipped:
            self._watcher.advance(size)
        self._watcher.done(file, skipped)


def _as_long(file: File) -> bool:
    return not file.there.is_dir and file.there.size == file.source.size


def _make_folder(uri: str) -> None:
    try:
        storage_for(uri).mkdir(uri)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{uri}: expected a folder, or nothing, but a file is there") from error


def _discard(uri: str) -> None:
    """Delete while another error is on its way, which matters more."""
    try:
        storage_for(uri).delete(uri)
    except Exception:  # noqa: BLE001
        pass


def _as_ours(error: BaseException) -> BaseException:
    """`error` of a copy as one that the command line knows."""
    if isinstance(error, MrmodelError) or not isinstance(error, OSError):
        return error
    kind = UsageError if isinstance(error, PermissionError) else JobError
    ours = kind(told(error))
    ours.__cause__ = error
    return ours
