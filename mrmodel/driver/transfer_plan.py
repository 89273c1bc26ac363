"""What a copy is to do: which file becomes which, and what is there already."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mrmodel.errors import InputError, UsageError
from mrmodel.shards.globs import expand_glob
from mrmodel.storage import basename, join, normalise, parent, relative, storage_for
from mrmodel.storage.base import Entry

_PART = ".mrmodel-part"
# of another machine's parts nobody here can tell whether their process lives
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class File:
    """One file to copy. `there`: what is at the target now."""

    source: Entry
    target: str
    there: Entry | None = None


@dataclass(frozen=True)
class Plan:
    """What to copy: files, and the folders that shall exist even where no file is in them."""

    files: tuple[File, ...]
    folders: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(file.source.size for file in self.files)


def make_plan(sources: Iterable[str], target: str) -> Plan:
    """What copying `sources` to `target` means.

    A single folder's content goes into `target`; a single file becomes `target`. Where `target`
    ends in a slash, is a folder already (files), or there are several sources or a glob, each
    keeps its name under it. Raises InputError, UsageError and the errors of `Storage`.
    """
    sources = list(sources)
    entries = [entry for source in sources for entry in find(source)]
    into = str(target).endswith("/") or [e.uri for e in entries] != [normalise(sources[0])]
    target = normalise(target)
    files: list[File] = []
    folders: list[str] = []
    for entry in entries:
        place = _place(entry, target, into)
        if entry.is_dir:
            _refuse_inside(entry.uri, place)
            below = storage_for(entry.uri).ls(entry.uri, recursive=True)
            folders.append(place)
            folders += [join(place, relative(e.uri, entry.uri)) for e in below if e.is_dir]
            below_files = [e for e in below if not e.is_dir and not e.name.endswith(_PART)]
            files += [File(e, join(place, relative(e.uri, entry.uri))) for e in below_files]
        else:
            files.append(File(entry, place))
    _refuse_twice(files)
    files = list({file.target: file for file in files}.values())
    return Plan(tuple(_with_what_is_there(files)), tuple(folders))


def find(uri: str) -> list[Entry]:
    """The entries that `uri` names: itself, or what it matches as a glob.

    Raises InputError where there is nothing, or nothing that may be read.
    """
    whole = normalise(uri)
    storage = storage_for(whole)
    try:
        entry = storage.stat(whole)
        found = [entry] if entry else expand_glob(whole, storage)
    except OSError as error:
        raise InputError(told(error)) from error
    if not found:
        raise InputError(f"{uri}: no such file or folder, and no glob that matches one")
    return found


def _place(entry: Entry, target: str, into: bool) -> str:
    """Where `entry` goes: `target`, or its own name under it."""
    if not into and not entry.is_dir:
        there = storage_for(target).stat(target)
        into = there is not None and there.is_dir
    return join(target, basename(entry.uri)) if into else target


def _refuse_inside(source: str, target: str) -> None:
    if target == source or target.startswith(source.rstrip("/") + "/"):
        raise UsageError(f"{target}: expected a target outside of {source}, which is to be copied")


def _refuse_twice(files: list[File]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        if file.target == file.source.uri:
            raise UsageError(f"{file.target}: expected another target than the source itself")
        other = seen.setdefault(file.target, file.source.uri)
        if other != file.source.uri:
            raise UsageError(
                f"{other} and {file.source.uri} would both become {file.target}: copy them apart"
            )


def _with_what_is_there(files: list[File]) -> list[File]:
    """`files` with their targets' entries, by one listing a folder; stale parts are removed."""
    there: dict[str, Entry] = {}
    for folder in sorted({parent(file.target) for file in files}):
        for entry in _listing(folder):
            there[entry.uri] = entry
            if _is_stale(entry):
                storage_for(entry.uri).delete(entry.uri)
    return [File(file.source, file.target, there.get(file.target)) for file in files]


def _listing(folder: str) -> list[Entry]:
    try:
        return storage_for(folder).ls(folder)
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: expected a folder to copy into but it is a file") from error


def part_name() -> str:
    """A temporary name, hidden from jobs, that tells whose it is."""
    return f".{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(6)}{_PART}"


def _is_stale(entry: Entry) -> bool:
    """Whether `entry` was left by a run that was killed."""
    if not entry.name.endswith(_PART):
        return False
    host, _, rest = entry.name[1:].rpartition(".")[0].rpartition(".")[0].rpartition(".")
    if host == socket.gethostname() and rest.isdigit():
        return not _is_alive(int(rest))
    return time.time() - entry.mtime > _STALE_SECONDS


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def told(error: OSError) -> str:
    """``URI: what is wrong`` in place of ``[Errno 2] what is wrong: 'URI'``."""
    if error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror or type(error).__name__}"
