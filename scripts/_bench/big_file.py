"""Parquet files with row groups of any size, written in little memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage

from .mlp import FEATURES

CHUNK_ROWS = 1 << 16
WORDS = 22  # per text
# a dictionary of floats would be kept in memory by the writer, and be of no use
OPTIONS = {"compression": "snappy", "use_dictionary": False}


def write(uri: str, nbytes: int, row_group_bytes: int | None = None) -> int:
    """A file of about `nbytes` at `uri`, local or not, in row groups of about `row_group_bytes`
    (None: all in one); the number of its rows.

    Columns: id, 30 float32 and a text of about 120 characters. A row group is written from one
    chunk of values many times over: Arrow writes column by column and page by page, and pages are
    compressed each for itself, so that the file is as large as if all values were different.
    """
    chunk = _chunk()
    per_row = _bytes_per_row(chunk)
    rows = max(1, int(nbytes / per_row))
    group = rows if row_group_bytes is None else max(1, int(row_group_bytes / per_row))
    schema = _table(chunk, 0, 1).schema
    with (
        storage.storage_for(uri).create(uri) as file,
        pq.ParquetWriter(file, schema, **OPTIONS) as writer,
    ):
        for first in range(0, rows, group):
            table = _table(chunk, first, min(group, rows - first))
            writer.write_table(table, row_group_size=table.num_rows)
    return rows


def _chunk() -> dict[str, pa.Array]:
    random = np.random.default_rng(0)
    numbers = {f"f{i}": random.standard_normal(CHUNK_ROWS, np.float32) for i in range(FEATURES)}
    letters = random.integers(97, 123, (CHUNK_ROWS, WORDS, 5), dtype=np.uint8)
    spaced = np.concatenate([letters, np.full_like(letters[:, :, :1], 32)], axis=2)
    texts = spaced.reshape(CHUNK_ROWS, -1).view(f"S{WORDS * 6}").reshape(-1)
    return {
        **{name: pa.array(values) for name, values in numbers.items()},
        "text": pa.array(texts.astype(str)),
    }


def _bytes_per_row(chunk: dict[str, pa.Array]) -> float:
    sink = pa.BufferOutputStream()
    pq.write_table(_table(chunk, 0, CHUNK_ROWS), sink, **OPTIONS)
    return sink.getvalue().size / CHUNK_ROWS


def _table(chunk: dict[str, pa.Array], first: int, rows: int) -> pa.Table:
    """`rows` rows whose ids begin with `first`; their other values are `chunk`, repeated."""
    whole, rest = divmod(rows, CHUNK_ROWS)
    columns = {
        name: pa.chunked_array([values] * whole + [values[:rest]] * bool(rest))
        for name, values in chunk.items()
    }
    return pa.table({"id": np.arange(first, first + rows), **columns})
