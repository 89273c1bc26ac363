"""Parquet: the row groups (or rows) of a piece, streamed page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel.errors import InputError
from mrmodel.formats.base import Block, Inspection, InspectOptions, ReadOptions
from mrmodel.formats.columns import Column, cast_column, deliver, file_fields, make_block
from mrmodel.formats.schemas import Merger, require, twice
from mrmodel.formats.source import check_size, open_file
from mrmodel.formats.types import plain
from mrmodel.parallel import map_parallel
from mrmodel.shards.shard import Piece

# A file may be one huge row group. A buffer size makes Arrow stream the pages of each column
# through a buffer; without one it reads the whole column chunk, that is, the whole file.
_BUFFER_BYTES = 1 << 20
_ALL_BUFFERS = 32 << 20
_LEAST_BUFFER = 64 << 10
_REMEDY = "convert one of the files, or say what to read it as with --type {column}=TYPE"


class ParquetFormat:
    """Rows of Parquet files. A column keeps the type of the files, less its encoding, unless the
    user gave it one."""

    name = "parquet"
    splittable = True

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        footers = map_parallel(_read_footer, uris)
        merger = Merger(options, _REMEDY)
        for uri, (types, _) in zip(uris, footers, strict=True):
            merger.add(uri, types)
        groups = [groups for _, groups in footers]
        return Inspection(merger.schema(), [sum(rows for rows, _ in g) for g in groups], groups)

    def rows_span_lines(self, uri: str) -> bool:
        return False

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        return deliver(piece, options, _blocks(piece, options))


def middle_byte(group: pq.RowGroupMetaData) -> int:
    """The byte by which a row group belongs to the piece in which it lies.

    Planning and reading must both ask this function: together they make each row group read once.
    """
    if group.num_columns == 0:
        return 0
    columns = [group.column(i) for i in range(group.num_columns)]
    start = min(c.dictionary_page_offset or c.data_page_offset for c in columns)
    return start + sum(c.total_compressed_size for c in columns) // 2


def _read_footer(uri: str) -> tuple[dict[str, pa.DataType], list[tuple[int, int]]]:
    """The columns of the file, and the rows and middle byte of each row group."""
    with _open(uri) as (_, file):
        schema = file.schema_arrow  # which Arrow makes anew each time
        twice(uri, schema.names)
        types = {field.name: plain(field.type) for field in schema}
        meta = file.metadata
        groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
        return types, [(group.num_rows, middle_byte(group)) for group in groups]


@contextmanager
def _open(uri: str, columns: int = 1) -> Iterator[tuple[pa.NativeFile, pq.ParquetFile]]:
    """The file `uri` and its Parquet reader, with buffers for so many columns.

    Raises InputError when the footer cannot be read.
    """
    with open_file(uri) as source:
        yield source, _reader(uri, source, columns)


def _reader(uri: str, source: pa.NativeFile, columns: int) -> pq.ParquetFile:
    buffer = min(_BUFFER_BYTES, max(_LEAST_BUFFER, _ALL_BUFFERS // max(1, columns)))
    try:
        return pq.ParquetFile(source, buffer_size=buffer, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{uri}: not a whole Parquet file ({str(error).rstrip('.')}): is it truncated, or of "
            "another format (--format)?"
        ) from error


def _blocks(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    fields = file_fields(piece, options.schema)
    with _open(piece.uri, len(fields)) as (source, file):
        check_size(piece, source.size())
        names = file.schema_arrow.names
        twice(piece.uri, names)
        require(piece, fields, names)
        groups = _groups_in(piece, file.metadata)
        total, done = sum(group.take for group in groups), 0
        for group in groups:
            first = group.first + group.skip
            batches = _batches(piece, file, group.index, fields, options)
            for batch in _rows_of(batches, group.skip, group.take):
                end = done + batch.num_rows
                nbytes = piece.length * end // total - piece.length * done // total
                yield _block(piece, options, fields, batch, first, nbytes)
                first, done = first + batch.num_rows, end


class _Group(NamedTuple):
    """Rows of a row group: `take` of them after `skip`. `first` is the number, in the file, of the
    row group's first row."""

    index: int
    first: int
    skip: int
    take: int


def _groups_in(piece: Piece, meta: pq.FileMetaData) -> list[_Group]:
    """What `piece` holds of each row group, the ones of which it holds nothing left out."""
    found, first = [], 0
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        skip, end = _share_of(piece, group, first)
        if end > skip:
            found.append(_Group(i, first, skip, end - skip))
        first += group.num_rows
    return found


def _share_of(piece: Piece, group: pq.RowGroupMetaData, first: int) -> tuple[int, int]:
    """Where in `group`, whose first row is the `first` of the file, the rows of `piece` begin and
    end."""
    if piece.rows is None:
        is_in = piece.start <= middle_byte(group) < piece.start + piece.length
        return 0, group.num_rows if is_in else 0
    begin, end = piece.rows
    return max(0, begin - first), min(group.num_rows, end - first)


def _rows_of(batches: Iterator[pa.RecordBatch], skip: int, take: int) -> Iterator[pa.RecordBatch]:
    """`take` rows of `batches` after the first `skip`: Parquet can be read from the beginning of a
    row group only."""
    for batch in batches:
        some = batch.slice(skip, take)
        skip, take = max(0, skip - batch.num_rows), take - some.num_rows
        if some.num_rows:
            yield some
        if not take:
            return


def _batches(
    piece: Piece,
    file: pq.ParquetFile,
    index: int,
    fields: Sequence[pa.Field],
    options: ReadOptions,
) -> Iterator[pa.RecordBatch]:
    names = [field.name for field in fields]
    rows = _batch_rows(file.metadata.row_group(index), set(names), options)
    batches = file.iter_batches(
        batch_size=rows, row_groups=[index], columns=names, use_threads=False
    )
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{piece.uri}: row group {index} cannot be read: {error}: write the file again"
        ) from error


def _batch_rows(group: pq.RowGroupMetaData, names: set[str], options: ReadOptions) -> int:
    """How many rows fit a block, by the bytes that the columns have in this row group."""
    columns = [group.column(i) for i in range(group.num_columns)]
    nbytes = sum(
        c.total_uncompressed_size
        for c in columns
        if c.path_in_schema in names or c.path_in_schema.split(".")[0] in names
    )
    per_row = max(1.0, nbytes / group.num_rows)
    return max(1, min(options.block_rows, int(options.block_bytes / per_row)))


def _block(
    piece: Piece,
    options: ReadOptions,
    fields: Sequence[pa.Field],
    batch: pa.RecordBatch,
    first: int,
    nbytes: int,
) -> Block:
    # Arrow reads a column called "a.b" and the field b of a column a under one name; so columns
    # are taken by name from what it read.
    columns = {field.name: _column(piece, batch, field) for field in fields}
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    return make_block(
        piece, options.schema, numbers, columns, (), lambda i: _record(batch, i), nbytes
    )


def _column(piece: Piece, batch: pa.RecordBatch, field: pa.Field) -> Column:
    array = batch.column(batch.schema.get_field_index(field.name))
    try:
        return cast_column(array, field)
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{piece.uri}: column {field.name!r} is {array.type}, which cannot be read as "
            f"{field.type}: convert the file, or give another --type {field.name}=TYPE"
        ) from error


def _record(batch: pa.RecordBatch, index: int) -> str:
    row = batch.slice(index, 1).to_pylist()[0]
    return json.dumps(row, default=str, ensure_ascii=False)
