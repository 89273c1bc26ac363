"""The lines that begin in a byte range.

A line belongs to the piece in which its first byte lies, so the pieces of a file together hold
each line exactly once, wherever the cuts are. (Hadoop's LineRecordReader shifts this by one byte:
there a line that begins exactly at a cut belongs to the piece before it.) A line ends with "\\n" or
"\\r\\n"; a lone "\\r" is data. The byte order mark of UTF-8 at the start of a file is dropped.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mrmodel.errors import InputError
from mrmodel.formats.base import RECORD_LIMIT
from mrmodel.formats.compression import ByteStream, open_stream
from mrmodel.formats.source import check_size
from mrmodel.shards.shard import Piece

CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 256 << 20
_PAST_END = 64 << 10  # the last line of a piece ends, most often, within this


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row; ``record`` is its text where only the finder has it."""

    error: str
    message: str
    record: str | None = None


@dataclass(frozen=True)
class Lines:
    """Consecutive lines with their ends, and how many bytes of the piece they took. With
    ``too_long``: the beginning of one line that is longer than MAX_LINE_BYTES."""

    data: bytes
    nbytes: int
    too_long: bool = False

    def decoded(self) -> list[str | Fault]:
        """The lines without their ends; a Fault for one that is not UTF-8 or is too long."""
        if self.too_long:
            message = f"expected a line of at most {MAX_LINE_BYTES} bytes but it goes on"
            return [Fault("LineTooLong", message, as_text(self.data))]
        if not self.data:
            return []
        data = self.data.replace(b"\r\n", b"\n")
        data = data[:-1] if data.endswith(b"\n") else data
        try:
            return data.decode().split("\n")
        except UnicodeDecodeError:
            return [_decode(line) for line in data.split(b"\n")]


def as_text(data: bytes) -> str:
    """`data` for people: bytes that are not UTF-8 as ``\\xff``."""
    return data[: 4 * RECORD_LIMIT].decode(errors="backslashreplace")


def _decode(line: bytes) -> str | Fault:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        message = (
            f"expected UTF-8 but received byte {line[error.start]:#04x} at position {error.start}"
            f" of the line ({error.reason}); convert the file to UTF-8"
        )
        return Fault("UnicodeDecodeError", message, as_text(line))


def slices(entries: list, nbytes: int, size: int) -> Iterator[tuple[int, list, int]]:
    """`entries` in runs of at most `size`: (index of the first, the run, its share of `nbytes`);
    one empty run where there are none, so that the bytes are not lost."""
    count, taken = max(1, len(entries)), 0
    for start in range(0, count, size):
        end = min(start + size, count)
        share = nbytes * end // count
        yield start, entries[start:end], share - taken
        taken = share


def read_lines(piece: Piece, begin: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Lines]:
    """The lines that begin in `piece`, those before the offset `begin` (a header) left out.

    `begin` counts decompressed bytes and is itself where a line begins. Raises InputError when the
    file cannot be read or has changed since planning.
    """
    with open_stream(piece.uri) as stream:
        check_size(piece, stream.size)
        stop = piece.start + piece.length
        if stream.compression:
            if not piece.is_whole:
                raise InputError(f"{piece.uri}: a {stream.compression} file cannot be cut")
            _drop(stream, begin)
            cutter = _Cutter(stream, begin, sys.maxsize, chunk_bytes)
        else:
            at = _first_line(stream, max(piece.start, begin), stop, begin)
            cutter = _Cutter(stream, at, stop, chunk_bytes)
        taken = piece.start
        for data, end, too_long in cutter:
            position = stream.position() if stream.compression else min(end, stop)
            yield Lines(data, position - taken, too_long)
            taken = position


def first_lines(uri: str, size: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Lines]:
    """The lines that begin in the first `size` bytes of `uri`, decompressed.

    Raises InputError when the file cannot be read.
    """
    with open_stream(uri) as stream:
        at = 0
        for data, end, too_long in _Cutter(stream, 0, size, min(size, chunk_bytes)):
            yield Lines(data, end - at, too_long)
            at = end


def _drop(stream: ByteStream, size: int) -> None:
    while size > 0 and (data := stream.read(min(size, CHUNK_BYTES))):
        size -= len(data)


def _first_line(stream: ByteStream, start: int, stop: int, begin: int) -> int:
    """Go to the first line that begins at `start` or after it, and return where that is."""
    if start == begin:
        stream.seek(start)
        return start
    at = start - 1  # its byte says whether a line begins at `start`
    stream.seek(at)
    while at < stop and (data := stream.read(_PAST_END)):
        end = data.find(b"\n")
        if end >= 0:
            stream.seek(at + end + 1)
            return at + end + 1
        at += len(data)
    return max(at, stop)


class _Cutter:
    """Cuts a stream into whole lines: (lines, offset of their end, whether it is the beginning of
    a line that is too long), for the lines that begin before `stop`. The stream stands at `at`."""

    def __init__(self, stream: ByteStream, at: int, stop: int, chunk_bytes: int):
        self._stream, self._stop, self._chunk_bytes = stream, stop, chunk_bytes
        self._at = at  # where the line begins whose beginning is held
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._rest = b""
        self._strip_mark = at == 0

    def __iter__(self) -> Iterator[tuple[bytes, int, bool]]:
        while self._at < self._stop:
            chunk = self._next_chunk()
            if not chunk:
                if self._held:
                    yield self._take(b"")
                return
            end = self._end_of_lines(chunk)
            if end:
                self._rest = chunk[end:]
                yield self._take(chunk[:end])
                continue
            self._held.append(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes > MAX_LINE_BYTES:
                yield self._skip_line()

    def _next_chunk(self) -> bytes:
        if self._rest:
            chunk, self._rest = self._rest, b""
            return chunk
        left = self._stop - self._at - self._held_bytes
        return self._stream.read(min(self._chunk_bytes, max(left, 0) + _PAST_END))

    def _end_of_lines(self, chunk: bytes) -> int:
        """Where in `chunk` its last line ends that begins before `stop`; 0 when none ends."""
        last = self._stop - 1 - self._at - self._held_bytes
        end = chunk.find(b"\n", max(0, last))
        return 1 + (end if end >= 0 else chunk.rfind(b"\n"))

    def _take(self, data: bytes) -> tuple[bytes, int, bool]:
        data = b"".join([*self._held, data])
        self._at += len(data)
        self._held, self._held_bytes = [], 0
        if self._strip_mark:
            data, self._strip_mark = data.removeprefix(codecs.BOM_UTF8), False
        return data, self._at, False

    def _skip_line(self) -> tuple[bytes, int, bool]:
        """Drop what is held and the rest of its line, but for the beginning."""
        head = b""
        while self._held and len(head) < 4 * RECORD_LIMIT:  # to join all would double the memory
            head += self._held.pop(0)[: 4 * RECORD_LIMIT]
        self._at += self._held_bytes
        self._held, self._held_bytes = [], 0
        while chunk := self._stream.read(self._chunk_bytes):
            end = chunk.find(b"\n") + 1
            self._at += end or len(chunk)
            if end:
                self._rest = chunk[end:]
                break
        self._strip_mark = False
        return head, self._at, True
