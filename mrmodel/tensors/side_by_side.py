"""What several models predicted for the same rows: held together, and reduced to one prediction.

Side by side, an output of a row is a fixed-size list with the value of each model, in the order of
the models. The arithmetic is that of groups (`tensors.aggregation`): a row is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mrmodel.tensors.aggregation import Aggregation, finish, shrink

_ROW = "mrmodel.row"


def alike(first: pa.Schema, other: pa.Schema) -> bool:
    """Whether outputs of these schemas can stand side by side: columns of the same names and
    shapes; their types may be two of which one holds the other's values (float32 and float64)."""
    if set(first.names) != set(other.names):
        return False
    pairs = [(field.type, other.field(field.name).type) for field in first]
    if any(_shape(a) != _shape(b) for a, b in pairs if pa.types.is_null(a) == pa.types.is_null(b)):
        return False
    try:
        pa.unify_schemas([first, other], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True


def side_by_side(outputs: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """`outputs`, of as many rows each and `alike`, as fixed-size lists of one value per batch."""
    table = _interleaved(outputs)
    columns = [_lists(column, len(outputs)) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def one_after_another(table: pa.Table, columns: Sequence[str], models: int) -> pa.Table:
    """`table` with `models` rows for each of its rows: a value of each list in `columns`; the
    other columns say the same in all of them."""
    rows = pa.array(np.repeat(np.arange(table.num_rows), models))
    arrays = [
        column.combine_chunks().flatten() if name in columns else column.take(rows)
        for name, column in zip(table.schema.names, table.columns, strict=True)
    ]
    return pa.table(arrays, names=table.schema.names)


def reduced(outputs: Sequence[pa.RecordBatch], how: Aggregation) -> pa.RecordBatch:
    """One prediction for each row, of those that the models gave (`outputs`, as for
    `side_by_side`). Of topk, each output is a list of its `count` values (of all, where there are
    fewer models), the best first. Raises ModelOutputError for outputs of which it cannot be made.
    """
    rows, names = outputs[0].num_rows, outputs[0].schema.names
    groups = pa.array(np.repeat(np.arange(rows), len(outputs)))
    table = _interleaved(outputs).append_column(_ROW, groups)
    found = finish([shrink(table, how, _ROW, ())], how, _ROW, ()).select(names)
    best = min(how.count, len(outputs))
    columns = [_lists(c, best) if how.name == "topk" else c.combine_chunks() for c in found.columns]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _interleaved(outputs: Sequence[pa.RecordBatch]) -> pa.Table:
    """For each row, a row of each of `outputs`, in their order."""
    tables = [pa.Table.from_batches([batch]) for batch in outputs]
    table = pa.concat_tables(tables, promote_options="permissive")
    order = np.arange(table.num_rows).reshape(len(outputs), -1).T.reshape(-1)
    return table.take(pa.array(order))


def _lists(column: pa.ChunkedArray, size: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(column.combine_chunks(), size)


def _shape(kind: pa.DataType) -> tuple[int | None, ...]:
    """The sizes of the lists in `kind`, None for lists of any length."""
    sizes: list[int | None] = []
    while pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        sizes.append(kind.list_size if pa.types.is_fixed_size_list(kind) else None)
        kind = kind.value_type
    return tuple(sizes)
