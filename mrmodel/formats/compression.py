"""Files as streams of bytes, decompressed where their name says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats import compression_of
from mrmodel.formats.source import open_file

# Compressed files are read from storage in pieces of this size, not of Arrow's 64 KB.
_READ_AHEAD = 1 << 20
# What is decoded in one call is lost when the file breaks inside it, so that is kept small.
_DECODE = 64 << 10


class ByteStream:
    """The bytes of a file in order, decompressed where its name says so."""

    def __init__(self, uri: str, file: pa.NativeFile):
        self._uri = uri
        self.size = file.size()
        self.compression = compression_of(uri)
        self._error: Exception | None = None
        self._raw = self._decoded = file
        if self.compression:
            buffered = pa.BufferedInputStream(file, _READ_AHEAD)
            self._decoded = pa.CompressedInputStream(buffered, self.compression)

    def seek(self, offset: int) -> None:
        """Go to `offset`: only where there is no compression."""
        self._raw.seek(offset)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end of the file.

        Raises InputError when the file breaks; what came before the break was returned.
        """
        parts: list[bytes] = []
        while size > 0 and self._error is None:
            try:
                data = self._decoded.read(min(size, _DECODE) if self.compression else size)
            except (OSError, pa.ArrowException) as error:
                self._error = error
                break
            if not data:
                break
            parts.append(data)
            size -= len(data)
        if self._error and not parts:
            raise InputError(self._broken(self._error)) from self._error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def position(self) -> int:
        """How many bytes of the file, as it is stored, have been read."""
        return self._raw.tell()

    def _broken(self, error: Exception) -> str:
        at = f"{self._uri}: cannot be read on at byte {self.position()} of {self.size}: {error}"
        return f"{at}: is it truncated? Write it again" if self.compression else at


@contextmanager
def open_stream(uri: str) -> Iterator[ByteStream]:
    """The file `uri` from its start. Raises InputError when it cannot be opened."""
    with open_file(uri) as file:
        yield ByteStream(uri, file)
