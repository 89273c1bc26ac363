"""Files on HDFS, as pyarrow reads and writes them.

fsspec's HdfsFileSystem is not used: it parses paths as URLs, which loses what follows a ``#`` or
``?`` in a name, and it has no readahead (a read of 64 KB costs a round trip to a DataNode).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

from mrmodel.errors import ServiceError
from mrmodel.storage.hdfs_calls import Caller
from mrmodel.storage.hdfs_errors import blames_data_node

# A read that goes on where the last one ended is served from a stream, which the library fills
# ahead of us; its window bounds what is thrown away when the reader then jumps elsewhere.
_FIRST_WINDOW = 1 << 20
_LAST_WINDOW = 64 << 20
# Each call into the library costs a thread, so small reads are served from a larger piece, and
# small writes (Parquet and JSON writers make many) gathered to one.
_PULL = 1 << 20
_WRITE_BUFFER = 4 << 20
# How much of a new file is kept to write it anew, and the pauses before. In sum they are longer
# than the 30 s after which a NameNode can avoid a stale DataNode
# (dfs.namenode.avoid.write.stale.datanode).
_KEPT = 16 << 20
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


class Reader(io.RawIOBase):
    """Random access to one file, for pyarrow.PythonFile (which holds a lock around each call)."""

    def __init__(self, uri: str, file, call: Caller):
        super().__init__()
        self._uri, self._file, self._call = uri, file, call
        self._size = len(file)
        self._position = 0
        self._drop_stream()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        parts = []
        while size:  # all of it: Arrow takes a short read for the end of the file
            part = self._read_on(size) if self._position == self._next else self._read_at(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
            self._position += len(part)
            self._next = self._position
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read_at(self, size: int) -> bytes:
        """A read somewhere else: just what is asked for."""
        self._drop_stream()
        return self._call(self._uri, self._file.read_range, self._position, size)

    def _read_on(self, size: int) -> bytes:
        if self._stream is None or self._position >= self._stream_end:
            self._open_stream(size)
        size = min(size, self._stream_end - self._position)
        if size > len(self._rest):
            ahead = min(max(size, _PULL), self._stream_end - self._position)
            self._rest = self._call(self._uri, _pull, self._stream, self._rest, ahead)
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data

    def _open_stream(self, size: int) -> None:
        window = min(max(size, self._window), self._size - self._position)
        self._window = min(2 * self._window, _LAST_WINDOW)
        self._stream = self._file.read_range_stream(self._position, window)
        self._stream_end = self._position + window

    def _drop_stream(self) -> None:
        self._stream: Iterator[bytes] | None = None
        self._rest = memoryview(b"")
        self._next = -1
        self._stream_end = 0
        self._window = _FIRST_WINDOW


def _pull(stream: Iterator[bytes], rest: memoryview, size: int) -> memoryview:
    """`rest` and what follows it in `stream`: `size` bytes or a few more."""
    parts, have = [rest], len(rest)
    while have < size:
        parts.append(next(stream))
        have += len(parts[-1])
    return memoryview(b"".join(parts))


class Writer(io.RawIOBase):
    """A new file, for pyarrow.PythonFile. It is whole, and its size right, once closed.

    The NameNode goes on naming a DataNode that has died for ten minutes, and the library cannot
    ask for another as Hadoop's client does. So a file is written anew, from memory, while it is
    small; a longer one fails, and its task is tried again. After that nothing more is sent.
    """

    def __init__(self, uri: str, create: Callable, call: Caller):
        """`create` is called for the file of hdfs-native, and again to write it anew."""
        super().__init__()
        self._uri, self._create, self._call = uri, create, call
        self._file = create()
        self._buffer = bytearray()
        self._position = 0
        self._failed = False
        self._sent: list[bytes] | None = []  # None once there is too much to keep

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        self._position += len(view)
        if len(self._buffer) >= _WRITE_BUFFER:
            self._send()
        return len(view)

    def _send(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        self._deliver([data], closing=False)

    def close(self) -> None:
        if self.closed:
            return
        try:
            if not self._failed:
                self._deliver([bytes(self._buffer)] if self._buffer else [], closing=True)
        finally:
            super().close()

    def _deliver(self, pieces: list[bytes], closing: bool) -> None:
        """Send `pieces`; where a DataNode fails, all pieces so far, to a new file."""
        self._failed = True  # until all is sent
        if self._sent is not None:
            self._sent = [*self._sent, *pieces] if self._position <= _KEPT else None
        anew = False
        for pause in (*_PAUSES, None):
            try:
                self._send_pieces(self._sent if anew else pieces, closing, anew)
                break
            except ServiceError as error:
                if pause is None or self._sent is None or not blames_data_node(error):
                    raise
            time.sleep(pause)
            anew = True
        self._failed = False

    def _send_pieces(self, pieces: list[bytes], closing: bool, anew: bool) -> None:
        if anew:
            self._file = self._create()
        try:
            for piece in pieces:
                self._call(self._uri, self._file.write, piece)
            if closing:
                self._call(self._uri, self._file.close)
        except BaseException:
            # when it is collected it would try for 15 s to complete what cannot be completed
            self._file.close = _nothing
            raise


def _nothing() -> None:
    pass
