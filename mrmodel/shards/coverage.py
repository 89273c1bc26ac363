"""Proof that every byte of the input was read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from mrmodel.shards.shard import Piece


class Sized(Protocol):
    """An input file: `InputFile` and `Source` are such."""

    @property
    def uri(self) -> str: ...

    @property
    def size(self) -> int: ...


def check_coverage(files: Iterable[Sized], done: Iterable[Piece]) -> list[str]:
    """What is wrong with `done` as a reading of `files`, one sentence each; nothing if all is well.

    The pieces of each file must tile its bytes, and its rows where they say which they hold: no
    gap, no overlap, nothing of other files. An empty file needs exactly one (empty) piece.
    """
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for piece in done:
        pieces[piece.uri].append(piece)
    problems = [problem for file in files for problem in _problems(file, pieces.pop(file.uri, []))]
    return problems + [f"{uri}: read, but not part of the input" for uri in sorted(pieces)]


def _problems(file: Sized, pieces: list[Piece]) -> Iterator[str]:
    if not pieces or (file.size == 0 and len(pieces) > 1):
        yield f"{file.uri}: {'read more than once' if pieces else 'not read'}"
        return
    for size in {piece.size for piece in pieces} - {file.size}:
        yield f"{file.uri}: {file.size} bytes at planning but {size} when it was read"
    end = 0
    for piece in sorted(pieces, key=lambda piece: (piece.start, piece.length)):
        stop = piece.start + piece.length
        if piece.start > end:
            yield f"{file.uri}: bytes {end} to {piece.start} not read"
        elif piece.start < end and piece.length:
            yield f"{file.uri}: bytes {piece.start} to {min(end, stop)} read more than once"
        end = max(end, stop)
    if end < file.size:
        yield f"{file.uri}: bytes {end} to {file.size} not read"
    elif end > file.size:
        yield f"{file.uri}: read to byte {end} of {file.size}"
    yield from _row_problems(file, pieces)


def _row_problems(file: Sized, pieces: list[Piece]) -> Iterator[str]:
    """What is wrong with pieces that hold rows by number. Whether the last row is among them, the
    sum over all pieces shows."""
    by_number = sorted(piece.rows for piece in pieces if piece.rows is not None)
    if by_number and len(by_number) < len(pieces):
        yield f"{file.uri}: read partly by row numbers, partly by row groups"
    at = 0
    for first, end in by_number:
        if first != at:
            how = "not read" if first > at else "read more than once"
            yield f"{file.uri}: rows {min(at, first)} to {max(at, first)} {how}"
        at = max(at, end)
