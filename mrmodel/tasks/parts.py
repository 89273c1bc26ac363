"""Part files: kept columns and outputs of a shard as Parquet or JSON lines, and dead letters."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage
from mrmodel.formats.base import BadRow

ROW_GROUP_BYTES = 32 << 20


class PartWriter(Protocol):
    """Writes batches of one schema to one file."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class ParquetPart:
    """A Parquet file, written in row groups of about 32 MB so that memory stays bounded."""

    suffix = "parquet"

    def __init__(self, uri: str, schema: pa.Schema, metadata: dict[str, str]):
        self._schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
        self._file = storage.storage_for(uri).create(uri)
        self._writer = pq.ParquetWriter(self._file, self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).cast(self._schema)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting, self._waiting_bytes = [], 0


class JsonlPart:
    """One JSON object per line. JSON has no NaN and no infinity: they become null; bytes become
    base64 text, dates and times ISO 8601."""

    suffix = "jsonl"

    def __init__(self, uri: str, schema: pa.Schema, metadata: dict[str, str]):
        self._file = storage.storage_for(uri).create(uri)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(json_lines(batch.to_pylist()))

    def close(self) -> None:
        self._file.close()


PARTS: dict[str, Any] = {"parquet": ParquetPart, "jsonl": JsonlPart}


def json_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    """`rows` as JSON lines, UTF-8."""
    return "".join(
        json.dumps(_plain(row), ensure_ascii=False, default=_as_json) + "\n" for row in rows
    ).encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _as_json(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


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
