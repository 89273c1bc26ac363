"""Rows of blocks, gathered into windows: what is prepared, ordered and written together.

Blocks come as the files give them: one row per image file, thousands from Parquet. A window is
large enough that ordering by size pays and small enough that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa

from mrmodel.formats import get_format
from mrmodel.formats.base import RECORD_LIMIT, BadRow, Block, ReadOptions
from mrmodel.shards.shard import Shard
from mrmodel.tasks.json_rows import json_text, to_rows
from mrmodel.tasks.spec import TaskData
from mrmodel.tensors.columns import valid_rows

WINDOW_BYTES = 8 << 20
WINDOW_ROWS = 8192


@dataclass(frozen=True)
class Window:
    """Consecutive rows of a shard: `batch` (all columns), and per row its `sources` and `rows`
    (position in the source). `bad` are the rows in between that are known to be bad."""

    batch: pa.RecordBatch
    sources: Sequence[str]
    rows: np.ndarray
    bad: tuple[BadRow, ...]
    nbytes: int

    def __len__(self) -> int:
        return self.batch.num_rows

    @property
    def rows_in(self) -> int:
        return len(self) + len(self.bad)

    def bad_row(self, index: int, error: str, message: str) -> BadRow:
        """The dead letter for the row at `index`."""
        record = to_rows(self.batch.slice(index, 1))[0]
        return BadRow(
            source=self.sources[index],
            row=int(self.rows[index]),
            error=error,
            message=message,
            record=json_text(record)[:RECORD_LIMIT],
        )


def windows(
    blocks: Iterable[Block],
    inputs: Sequence[str],
    max_rows: int = WINDOW_ROWS,
    max_bytes: int = WINDOW_BYTES,
) -> Iterator[Window]:
    """Gather `blocks` into windows of at most `max_rows` rows and about `max_bytes`; rows with a
    null in one of `inputs` become bad rows."""
    gathered: list[Block] = []
    rows = size = 0
    for block in blocks:
        if gathered and (rows + len(block.rows) > max_rows or size >= max_bytes):
            yield _window(gathered, inputs)
            gathered, rows, size = [], 0, 0
        gathered.append(block)
        rows += len(block.rows) + len(block.bad)
        size += block.batch.nbytes
    if gathered:
        yield _window(gathered, inputs)


def read_windows(data: TaskData, shard: Shard) -> Iterator[Window]:
    """The windows of `shard`, every column of which is needed: a null makes a bad row."""
    options = ReadOptions(schema=data.arrow_schema, image_size=data.image_size)
    read = get_format(data.format).read
    blocks = (block for piece in shard.pieces for block in read(piece, options))
    return windows(blocks, options.schema.names)


def _window(blocks: list[Block], inputs: Sequence[str]) -> Window:
    window = Window(
        batch=one_batch([block.batch for block in blocks]),
        sources=list(chain.from_iterable([block.source] * len(block.rows) for block in blocks)),
        rows=np.concatenate([block.rows for block in blocks]),
        bad=tuple(bad for block in blocks for bad in block.bad),
        nbytes=sum(block.nbytes for block in blocks),
    )
    return _without_nulls(window, inputs)


def one_batch(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of `batches`, of which there is at least one, as one batch."""
    if len(batches) == 1:
        return batches[0]
    joined = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined[0] if joined else batches[0]


def _without_nulls(window: Window, inputs: Sequence[str]) -> Window:
    doubtful = [name for name in inputs if not _is_plainly_full(window.batch.column(name))]
    keep = valid_rows(window.batch, doubtful)
    if keep.all():
        return window
    bad = tuple(_null_row(window, int(index), inputs) for index in np.flatnonzero(~keep))
    return replace(
        window,
        batch=window.batch.filter(pa.array(keep)),
        sources=[source for source, kept in zip(window.sources, keep, strict=True) if kept],
        rows=window.rows[keep],
        bad=window.bad + bad,
    )


def _is_plainly_full(array: pa.Array) -> bool:
    """Whether Arrow's own count says that no value is null: it does not look inside lists,
    dictionaries and the like."""
    kind = array.type
    simple = pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind)
    return simple and not array.null_count


def _null_row(window: Window, index: int, inputs: Sequence[str]) -> BadRow:
    row = window.batch.slice(index, 1)
    name = next(name for name in inputs if not valid_rows(row, [name])[0])
    message = f"null in input column {name!r}: expected a value; fill or filter such rows"
    return window.bad_row(index, "NullInput", message)
