"""What mrmodel asks of a file system. URIs in, URIs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Entry:
    """A file or folder: ``size`` in bytes (0 for folders), ``mtime`` in seconds since the epoch,
    ``block_size`` in bytes where the storage has blocks (HDFS)."""

    uri: str
    size: int
    mtime: float
    is_dir: bool
    block_size: int | None = None

    @property
    def name(self) -> str:
        return self.uri.rstrip("/").rsplit("/", 1)[-1]


class Storage(Protocol):
    """One file system. Every method takes full URIs (or plain local paths, for files).

    Errors are Python's own: FileNotFoundError, FileExistsError, PermissionError,
    NotADirectoryError, IsADirectoryError, and ServiceError when the service does not answer.
    """

    scheme: str

    def stat(self, uri: str) -> Entry | None:
        """The entry at `uri`, None where there is nothing."""
        ...

    def ls(self, uri: str, recursive: bool = False) -> list[Entry]:
        """The entries in the folder `uri`, sorted by URI; with `recursive`, of all below it.

        Raises NotADirectoryError for a file.
        """
        ...

    def open(self, uri: str) -> pa.NativeFile:
        """A random-access file for reading (ranged reads; not read into memory)."""
        ...

    def create(self, uri: str) -> pa.NativeFile:
        """A stream that writes the file `uri`, replacing it; folders above are made."""
        ...

    def mkdir(self, uri: str) -> None:
        """Make the folder and those above it; it may exist."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder in one atomic step.

        Raises FileExistsError when `target` exists, be it a file or a folder, empty or not: the
        first rename wins, which is what exactly-once output rests on. The folder above `target`
        must exist.
        """
        ...

    def replace(self, source: str, target: str) -> None:
        """Move a file over `target` in one atomic step, whether or not a file is there."""
        ...

    def delete(self, uri: str) -> None:
        """Remove a file, or a folder with all in it; nothing there is no error."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Copy a file inside this storage (a hard link where that is the same thing), replacing
        `target`; folders above are made."""
        ...
