"""INPUT... to a list of files: files, folders, globs and Hive-style partitions on any storage."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from mrmodel.errors import InputError
from mrmodel.shards.globs import expand_glob, fixed_part, has_magic
from mrmodel.shards.partitions import partition_of, partition_root
from mrmodel.storage import basename, normalise, parent, storage_for
from mrmodel.storage.base import Entry

_SHOWN_NAMES = 5


@dataclass(frozen=True)
class InputFile:
    """A file of the input, as its listing told it.

    ``partition`` holds the Hive-style ``key=value`` folders of its path, decoded but not yet
    typed (None: Hive's null); ``root`` is the folder they are counted from; ``block_size`` is
    given where the storage has blocks.
    """

    uri: str
    size: int
    mtime: float = 0.0
    partition: dict[str, str | None] = field(default_factory=dict)
    block_size: int | None = None
    root: str = ""


def list_inputs(uris: Iterable[str]) -> list[InputFile]:
    """The files that `uris` name, each once: sorted within an input, inputs in the order given.

    An input is a file, a folder (with all below it) or a glob; what exists under the very name
    given is never read as a glob. Below the input, names that start with ``_`` or ``.`` are left
    out, as Hadoop does. Zero-byte files are listed; an empty folder gives nothing.

    Raises InputError when an input does not exist, matches nothing or cannot be listed.
    """
    found: dict[str, InputFile] = {}
    for uri in uris:
        try:
            files = _files_of(normalise(uri), uri)
        except OSError as error:
            raise InputError(f"input {uri} cannot be listed: {_reason(error)}") from error
        for file in files:
            found.setdefault(file.uri, file)
    return list(found.values())


def _files_of(uri: str, said: str) -> list[InputFile]:
    """The files of one input; `said` is what the person typed, for messages."""
    storage = storage_for(uri)
    entry = storage.stat(uri)
    if entry is not None:
        root = uri if entry.is_dir else parent(uri)
        return _input_files(_files_in(entry), root)
    if not has_magic(uri):
        raise InputError(f"input {said} does not exist; {_nearest(uri)}")
    matches = expand_glob(uri, storage)
    if not matches:
        raise InputError(f"input {said} matches no file; {_nearest(uri)}")
    files = {file.uri: file for match in matches for file in _files_in(match)}
    return _input_files([files[name] for name in sorted(files)], fixed_part(uri))


def _files_in(entry: Entry) -> list[Entry]:
    """`entry` itself, or the files below it whose names are not hidden."""
    if not entry.is_dir:
        return [entry]
    skip = len(entry.uri.rstrip("/"))
    below = storage_for(entry.uri).ls(entry.uri, recursive=True)
    return [e for e in below if not e.is_dir and not _hidden(e.uri[skip:])]


def _hidden(path: str) -> bool:
    """Whether a name in `path`, which begins with a slash, starts with ``_`` or ``.``."""
    return "/_" in path or "/." in path


def _input_files(entries: list[Entry], root: str) -> list[InputFile]:
    root = partition_root(root)
    return [
        InputFile(e.uri, e.size, e.mtime, partition_of(e.uri, root), e.block_size, root)
        for e in entries
    ]


def _reason(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _nearest(uri: str) -> str:
    """What there is near `uri`, for a message: ``/data has: a.parquet, b.parquet``."""
    folder, wanted = parent(uri), basename(uri)
    storage = storage_for(uri)
    while (entry := storage.stat(folder)) is None and folder != parent(folder):
        folder, wanted = parent(folder), basename(folder)
    if entry is None or not entry.is_dir:
        return f"{folder} is not a folder"
    names = [e.name for e in storage.ls(folder) if not e.name.startswith(("_", "."))]
    similar = difflib.get_close_matches(wanted, names, _SHOWN_NAMES, cutoff=0.7)
    if similar:
        return f"{folder} has {', '.join(map(repr, similar))}: is that it?"
    if not names:
        return f"{folder} is there and empty"
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    return f"{folder} has: {', '.join(names[:_SHOWN_NAMES])}{more}"
