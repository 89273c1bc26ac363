"""Opening input files, with errors that name the file and say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.shards.shard import Piece
from mrmodel.storage import storage_for


@contextmanager
def open_file(uri: str) -> Iterator[pa.NativeFile]:
    """The file `uri`, for reading anywhere in it.

    Raises InputError when it cannot be opened; errors of reading it are left to the caller.
    """
    file = _open(uri)
    try:
        yield file
    finally:
        file.close()


def _open(uri: str) -> pa.NativeFile:
    try:
        return storage_for(uri).open(uri)
    except FileNotFoundError as error:
        raise InputError(
            f"{uri}: expected a file but there is none: was it removed after the job was planned?"
        ) from error
    except PermissionError as error:
        raise InputError(
            f"{uri}: no permission to read it: ask its owner, or run as a user who may"
        ) from error
    except OSError as error:
        raise InputError(f"{uri}: cannot be opened: {error}") from error


def check_size(piece: Piece, size: int) -> None:
    """Raises InputError when the file is not `piece.size` bytes long, as it was at planning.

    Its pieces would no longer fit together: rows would be lost or read twice.
    """
    if size != piece.size:
        raise InputError(
            f"{piece.uri}: expected {piece.size} bytes, as when the job was planned, but it has "
            f"{size}: it has changed; run the job again"
        )
