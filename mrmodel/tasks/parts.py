"""Part files: kept columns and outputs of a shard as Parquet or JSON lines, and dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage
from mrmodel.formats.base import BadRow
from mrmodel.tasks.json_rows import json_lines, to_rows
from mrmodel.tensors.outputs import unify, widen

ROW_GROUP_BYTES = 32 << 20


class PartWriter(Protocol):
    """Writes batches of one schema to one file."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class ParquetPart:
    """A Parquet file, written in row groups of about 32 MB so that memory stays bounded.

    The file's schema is settled with the first row group: what was None in every row before then
    has the type that a later row showed.
    """

    suffix = "parquet"

    def __init__(self, uri: str, metadata: dict[str, str]):
        self._metadata = metadata
        self._file = storage.storage_for(uri).create(uri)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(self._with_one_schema(batch))
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        self._file.close()

    def _with_one_schema(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """`batch` with the first one's schema, where it is equal. Those that wait would keep their
        own, each a few bytes amid the memory of the forward pass, which could not be used again
        in one piece: hundreds of MB more in the end."""
        if self._waiting and batch.schema.equals(self._waiting[0].schema, check_metadata=True):
            return pa.RecordBatch.from_arrays(batch.columns, schema=self._waiting[0].schema)
        return batch

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._open()
        batches = [unify(self._schema, batch) for batch in self._waiting]
        table = pa.Table.from_batches(batches, self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting, self._waiting_bytes = [], 0

    def _open(self) -> None:
        schema = self._waiting[0].schema
        for batch in self._waiting[1:]:
            schema = widen(schema, batch.schema)
        self._schema = schema
        metadata = {**(schema.metadata or {}), **self._metadata}
        self._writer = pq.ParquetWriter(self._file, schema.with_metadata(metadata))


class JsonlPart:
    """One JSON object per line, its values as `json_rows` says."""

    suffix = "jsonl"

    def __init__(self, uri: str, metadata: dict[str, str]):
        self._file = storage.storage_for(uri).create(uri)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(json_lines(to_rows(batch)))

    def close(self) -> None:
        self._file.close()


PARTS: dict[str, Any] = {"parquet": ParquetPart, "jsonl": JsonlPart}


class DeadLetters:
    """The bad rows of a shard as JSON lines; no file when there are none. Counts them by error,
    with one example of a message each."""

    def __init__(self, uri: str):
        self._uri = uri
        self._file: Any = None
        self.count = 0
        self.errors: dict[str, dict[str, Any]] = {}

    def write(self, rows: Iterable[BadRow]) -> None:
        rows = list(rows)
        for row in rows:
            entry = self.errors.setdefault(row.error, {"count": 0, "example": row.message})
            entry["count"] += 1
        if rows:
            self._open().write(json_lines(asdict(row) for row in rows))
        self.count += len(rows)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> Any:
        if self._file is None:
            self._file = storage.storage_for(self._uri).create(self._uri)
        return self._file
