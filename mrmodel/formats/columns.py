"""Columns of the types that were asked for, and the rows whose values do not fit them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats.base import RECORD_LIMIT, BadRow, Block, ReadOptions
from mrmodel.formats.lines import Fault
from mrmodel.shards.shard import Piece

_SHOWN = 100  # characters of a value in a message


@dataclass(frozen=True)
class Column:
    """An array of the type asked for, and what is wrong at the rows where it holds a null only
    because the value did not fit."""

    array: pa.Array
    faults: dict[int, Fault] = field(default_factory=dict)


def misfit(field: pa.Field, value: Any, remedy: str = "") -> Fault:
    """The fault of a value that does not fit its column."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    message = f"column {field.name!r}: expected {field.type} but received {shown}{remedy}"
    return Fault("TypeError", message)


def cast_column(array: pa.Array, field: pa.Field, remedy: str = "") -> Column:
    """`array` as the type of `field`, with a fault for each value that it cannot hold.

    Raises ArrowNotImplementedError when there is no way from the one type to the other.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type == field.type:
        return Column(array)
    pieces, bad = _cast(array, field.type, 0)
    faults = {at: misfit(field, array[at].as_py(), remedy) for at in bad}
    return Column(pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces), faults)


def _cast(array: pa.Array, kind: pa.DataType, at: int) -> tuple[list[pa.Array], list[int]]:
    """Halve until the values are alone that do not fit: most often there are none, or few."""
    try:
        return [array.cast(kind)], []
    except pa.ArrowNotImplementedError:
        raise
    except (pa.ArrowInvalid, OverflowError):
        if len(array) == 1:
            return [pa.nulls(1, kind)], [at]
    middle = len(array) // 2
    left, bad_left = _cast(array[:middle], kind, at)
    right, bad_right = _cast(array[middle:], kind, at + middle)
    return left + right, bad_left + bad_right


def file_fields(piece: Piece, schema: pa.Schema) -> list[pa.Field]:
    """The fields of `schema` that the file must hold: those that its path does not."""
    return [f for f in schema if f.name not in piece.partition]


def _constant(piece: Piece, field: pa.Field, rows: int) -> pa.Array:
    value = piece.partition[field.name]
    try:
        return pa.repeat(pa.scalar(value).cast(field.type), rows)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(
            f"{piece.uri}: partition column {field.name!r}: expected {field.type} but received "
            f"{value!r}: rename the folder, or give the column another type"
        ) from error


def make_block(
    piece: Piece,
    schema: pa.Schema,
    numbers: np.ndarray,
    columns: dict[str, Column],
    bad: Sequence[BadRow],
    record: Callable[[int], str | None],
    nbytes: int = 0,
) -> Block:
    """The block of the rows `numbers`, whose values are in `columns` (name → column of the file).

    Rows with a fault in a column join `bad`; `record` gives the text of the row at an index.
    """
    faults: dict[int, Fault] = {}
    for column in columns.values():
        for index, fault in column.faults.items():
            faults.setdefault(index, fault)
    late = [bad_row(piece, int(numbers[i]), fault, record(i)) for i, fault in faults.items()]
    bad = tuple(sorted([*bad, *late], key=lambda b: b.row))
    arrays = [
        _constant(piece, f, len(numbers)) if f.name in piece.partition else columns[f.name].array
        for f in schema
    ]
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if faults:
        keep = np.ones(len(numbers), dtype=bool)
        keep[list(faults)] = False
        batch, numbers = batch.filter(pa.array(keep)), numbers[keep]
    return Block(batch, numbers, piece.uri, bad, nbytes)


def bad_row(piece: Piece, row: int, fault: Fault, record: str | None) -> BadRow:
    """The dead letter of `fault`; the fault's own record comes before `record`."""
    text = record if fault.record is None else fault.record
    return BadRow(piece.uri, row, fault.error, fault.message, text and text[:RECORD_LIMIT])


def deliver(piece: Piece, options: ReadOptions, blocks: Iterator[Block]) -> Iterator[Block]:
    """`blocks` cut to the size asked for; a last one without rows brings the sum of their bytes
    to the piece's length where they fall short."""
    left = piece.length
    for block in blocks:
        for part in _halve(block, options):
            left -= part.nbytes
            if part.nbytes or len(part.rows) or part.bad:
                yield part
    if left:
        nothing = pa.RecordBatch.from_pylist([], schema=options.schema)
        yield Block(nothing, np.empty(0, dtype=np.int64), piece.uri, (), left)


def _halve(block: Block, options: ReadOptions) -> Iterator[Block]:
    rows = len(block.rows)
    if rows <= options.block_rows and (rows < 2 or block.batch.nbytes <= options.block_bytes):
        yield block
        return
    middle, nbytes = rows // 2, block.nbytes // 2
    first = block.rows[middle]
    for half in (
        Block(
            block.batch[:middle],
            block.rows[:middle],
            block.source,
            tuple(b for b in block.bad if b.row < first),
            nbytes,
        ),
        Block(
            block.batch[middle:],
            block.rows[middle:],
            block.source,
            tuple(b for b in block.bad if b.row > first),
            block.nbytes - nbytes,
        ),
    ):
        yield from _halve(half, options)
