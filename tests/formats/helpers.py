"""Files and pieces for the tests of formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mrmodel.formats import get_format
from mrmodel.formats.base import BadRow, Block, ReadOptions
from mrmodel.shards.shard import Piece


def write(path: Path, data: bytes | str) -> str:
    """The URI of a new file with `data`."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def whole(uri: str, **partition: Any) -> Piece:
    """The file `uri` as one piece."""
    size = os.path.getsize(uri)
    return Piece(uri, 0, size, size, partition=partition)


def pieces(uri: str, cuts: Sequence[int]) -> list[Piece]:
    """The file `uri`, cut at `cuts`."""
    size = os.path.getsize(uri)
    ends = [*sorted(cuts), size]
    starts = [0, *ends[:-1]]
    return [Piece(uri, s, e - s, size) for s, e in zip(starts, ends, strict=True)]


def read(
    format_name: str, piece: Piece, schema: pa.Schema | Sequence[tuple], **options: Any
) -> list[Block]:
    """All blocks of `piece`, with what must hold of any blocks checked."""
    schema = pa.schema(schema)
    blocks = list(get_format(format_name).read(piece, ReadOptions(schema, **options)))
    check(blocks, piece, schema)
    return blocks


def check(blocks: Sequence[Block], piece: Piece, schema: pa.Schema) -> None:
    """What every reader promises of its blocks."""
    assert sum(block.nbytes for block in blocks) == piece.length
    seen = -1
    for block in blocks:
        assert block.batch.schema == schema
        block.batch.validate(full=True)
        assert block.source == piece.uri
        assert block.nbytes >= 0
        assert len(block.rows) == block.batch.num_rows
        assert str(block.rows.dtype) == "int64"
        numbers = sorted([*block.rows.tolist(), *(bad.row for bad in block.bad)])
        assert len(set(numbers)) == len(numbers)
        assert block.rows.tolist() == sorted(block.rows.tolist())
        if numbers:
            assert numbers[0] > seen
            seen = numbers[-1]


def rows(blocks: Sequence[Block]) -> list[dict]:
    """The good rows."""
    return [row for block in blocks for row in block.batch.to_pylist()]


def numbers(blocks: Sequence[Block]) -> list[int]:
    """Where the good rows stood."""
    return [int(number) for block in blocks for number in block.rows]


def bad(blocks: Sequence[Block]) -> list[BadRow]:
    """The bad rows."""
    return [bad for block in blocks for bad in block.bad]


def column(blocks: Sequence[Block], name: str) -> Iterator[Any]:
    """The good values of a column."""
    return (row[name] for row in rows(blocks))
