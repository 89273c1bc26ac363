"""What a task is given to read: shards, made of pieces of files. Plain data, JSON-able.

A *piece* is a byte range of one input file; a *shard* is the pieces that one part file of the
output is made from: one piece of a large file, or many whole small files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Piece:
    """The byte range [start, start + length) of the file at `uri`.

    A reader of lines takes the lines that begin in the range (Hadoop's LineRecordReader rule);
    a reader of Parquet takes the row groups whose middle byte lies in it, or, where ``rows`` is
    given, the rows of the file with these numbers (first, end), whatever the row groups are.
    ``size`` and ``mtime`` (seconds) are the whole file's, as they were at planning; ``partition``
    holds the Hive-style partition values of the path (column → value).
    """

    uri: str
    start: int
    length: int
    size: int
    mtime: float = 0.0
    partition: dict[str, Any] = field(default_factory=dict)
    rows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.rows is not None:  # a list, as JSON has it
            object.__setattr__(self, "rows", tuple(self.rows))

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.length == self.size

    @property
    def key(self) -> str:
        """A name for this piece that is the same in every run over the same bytes."""
        rows = [] if self.rows is None else [self.rows]
        text = json.dumps([self.uri, self.start, self.length, self.size, self.mtime, *rows])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        # not asdict: its deep copies take seconds for 100,000 files
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Shard:
    """Pieces in input order; ``rows`` is their number of rows where planning could count it."""

    pieces: tuple[Piece, ...]
    rows: int | None = None

    @property
    def key(self) -> str:
        """A name for this shard that is the same in every run over the same bytes."""
        text = ",".join(piece.key for piece in self.pieces)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def length(self) -> int:
        """Bytes to read."""
        return sum(piece.length for piece in self.pieces)

    def to_dict(self) -> dict[str, Any]:
        return {"pieces": [piece.to_dict() for piece in self.pieces], "rows": self.rows}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Shard:
        return cls(tuple(Piece(**piece) for piece in data["pieces"]), data["rows"])
