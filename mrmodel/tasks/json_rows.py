"""Rows as JSON. JSON has no NaN and no infinity: they become null; bytes become base64 text,
dates and times ISO 8601."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa


def json_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    """`rows` as JSON lines, UTF-8."""
    return "".join(json_text(row) + "\n" for row in rows).encode("utf-8", "backslashreplace")


def json_text(row: dict[str, Any]) -> str:
    """`row` as JSON on one line."""
    return json.dumps(_plain(row), ensure_ascii=False, default=_as_json)


def to_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of `batch`; times that Python's datetime cannot hold (nanoseconds, the year
    10,000) are text."""
    columns = [_values(column) for column in batch.columns]
    return [
        dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True)
    ]


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(scalar[name]) for name in scalar}
        if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
            return [_value(item) for item in scalar.values]
        return _time_as_text(scalar)


def _time_as_text(scalar: pa.Scalar) -> str:
    if isinstance(scalar, pa.DurationScalar):
        return f"{scalar.value} {scalar.type.unit}"
    return scalar.cast(pa.string()).as_py().replace(" ", "T")


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
