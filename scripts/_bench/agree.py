"""Whether outputs are the same rows with the same numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
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


def difference(one: pa.Table, other: pa.Table) -> float:
    """The largest absolute difference of any number; infinite where ids or columns differ."""
    if sorted(one.column_names) != sorted(other.column_names):
        return float("inf")
    if not one.column("id").equals(other.column("id")):
        return float("inf")
    names = [name for name in one.column_names if name != "id"]
    return max(
        float(np.max(np.abs(_numbers(one, name) - _numbers(other, name)), initial=0.0))
        for name in names
    )


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name).combine_chunks()
    while pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return column.to_numpy()
