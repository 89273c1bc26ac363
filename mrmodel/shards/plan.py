"""The plan of a job's input as a value: which files, columns and shards. JSON-able."""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import accumulate
from typing import Any

import pyarrow as pa

from mrmodel.shards.shard import Piece, Shard


@dataclass(frozen=True)
class Source:
    """A file of the plan: what its listing and its inspection told of it.

    ``partition`` holds typed values; ``row_groups`` (Parquet) the rows and the middle byte of
    each row group; ``rows`` is None where only reading can tell.
    """

    uri: str
    size: int
    mtime: float = 0.0
    partition: dict[str, Any] = field(default_factory=dict)
    block_size: int | None = None
    splittable: bool = False
    rows: int | None = None
    row_groups: tuple[tuple[int, int], ...] | None = None

    def piece(self, start: int = 0, length: int | None = None) -> Piece:
        """[start, start + length) of this file; all of it by default."""
        length = self.size if length is None else length
        return Piece(self.uri, start, length, self.size, self.mtime, self.partition)

    def rows_in(self, piece: Piece) -> int | None:
        """How many rows a task finds in `piece` of this file; None where nobody knows yet."""
        if piece.rows is not None:
            return piece.rows[1] - piece.rows[0]
        if self.row_groups is None:
            return self.rows if piece.is_whole else None
        middles, totals = self._row_counts
        end = bisect_left(middles, piece.start + piece.length)
        return totals[end] - totals[bisect_left(middles, piece.start)]

    @cached_property
    def _row_counts(self) -> tuple[list[int], list[int]]:
        """The middles of the row groups, sorted, and the rows before each and after the last."""
        groups = sorted(self.row_groups or (), key=lambda group: group[1])
        totals = accumulate((rows for rows, _ in groups), initial=0)
        return [middle for _, middle in groups], list(totals)

    def to_dict(self) -> dict[str, Any]:
        # not asdict: its deep copies take seconds for 100,000 files
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Source:
        groups = data["row_groups"]
        groups = None if groups is None else tuple((rows, middle) for rows, middle in groups)
        return cls(**{**data, "row_groups": groups})


@dataclass(frozen=True)
class Plan:
    """What a job reads.

    ``schema``: the columns a task must read, in the files' order, partition columns last.
    ``inputs``: the columns for the model (None: all of them). ``keep``: the columns joined to the
    output. ``rows``: None unless every file could tell. ``format`` is ``auto`` only where there
    is no file at all.
    """

    format: str
    schema: pa.Schema
    inputs: tuple[str, ...] | None
    keep: tuple[str, ...]
    sources: tuple[Source, ...]
    shards: tuple[Shard, ...]
    partitions: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> int | None:
        return total_rows(source.rows for source in self.sources)

    @cached_property
    def nbytes(self) -> int:
        return sum(source.size for source in self.sources)

    @property
    def files(self) -> int:
        return len(self.sources)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "schema": base64.b64encode(self.schema.serialize()).decode(),
            "inputs": None if self.inputs is None else list(self.inputs),
            "keep": list(self.keep),
            "partitions": list(self.partitions),
            "sources": [source.to_dict() for source in self.sources],
            "shards": [shard.to_dict() for shard in self.shards],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(data["schema"])))
        return cls(
            data["format"],
            schema,
            None if data["inputs"] is None else tuple(data["inputs"]),
            tuple(data["keep"]),
            tuple(Source.from_dict(source) for source in data["sources"]),
            tuple(Shard.from_dict(shard) for shard in data["shards"]),
            tuple(data["partitions"]),
        )


def total_rows(counts: Iterable[int | None]) -> int | None:
    """The sum of `counts`, None where one is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
