"""Whether outputs are the same rows with the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from mrmodel import storage


def read_output(folder: str) -> pa.Table:
    """All parts in `folder` (a local path or URI), ordered by id."""
    store = storage.storage_for(folder)
    tables = []
    for entry in store.ls(folder):
        if entry.name.startswith("part-"):
            with store.open(entry.uri) as file:
                tables.append(pq.read_table(file))
    return pa.concat_tables(tables).sort_by("id").combine_chunks()


def read_folder(folder: Path) -> pa.Table:
    """All rows that a system other than mrmodel left in `folder`, ordered by id: Parquet, or
    lines of JSON where files have no ending. Neither what is hidden or temporary nor what cannot
    be read."""
    tables = []
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        names = path.relative_to(folder).parts
        hidden = any(name.startswith((".", "_", "beam-temp")) for name in names)
        if path.is_file() and path.stat().st_size and not hidden:
            try:
                tables.append(_read_file(path))
            except pa.ArrowInvalid:  # its writer was killed
                continue
    return pa.concat_tables(tables).sort_by("id").combine_chunks() if tables else pa.table({})


def _read_file(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    return pa.json.read_json(path)


def difference(one: pa.Table, other: pa.Table) -> float:
    """The largest absolute difference of any number; infinite where ids or columns differ."""
    if sorted(one.column_names) != sorted(other.column_names):
        return float("inf")
    if not one.column("id").equals(other.column("id")):
        return float("inf")
    names = [name for name in one.column_names if name != "id"]
    return max(_largest(numbers(one, name), numbers(other, name)) for name in names)


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float(np.max(np.abs(one - other), initial=0.0))


def numbers(table: pa.Table, name: str) -> np.ndarray:
    """All numbers of a column, row after row."""
    column = table.column(name).combine_chunks()
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    while not pa.types.is_floating(column.type) and not pa.types.is_integer(column.type):
        column = column.flatten()
    return column.to_numpy(zero_copy_only=False)
