"""Predictions of rows that belong together as one: of the windows of a document, say.

A table has the column of the group, kept columns and outputs. `shrink` makes of a shard's table
what has to travel, `finish` of the tables of all shards, in input order, the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mrmodel.errors import ModelOutputError, UsageError
from mrmodel.tensors.columns import to_values
from mrmodel.tensors.outputs import fixed_lists

ROWS, RANK = "rows", "rank"
NAMES = ("mean", "max", "vote", "concat", "topk:K")
_TYPE = b"mrmodel.type"


@dataclass(frozen=True)
class Aggregation:
    """What becomes of a group: `name` is mean, max, vote, concat or topk; of topk, `count` rows
    with the greatest values in `column` (None: the only column of single numbers)."""

    name: str
    count: int = 0
    column: str | None = None


def parse_aggregation(text: str) -> Aggregation:
    """``mean``, ``max``, ``vote``, ``concat`` or ``topk:K[:COLUMN]``. Raises UsageError."""
    name, *rest = text.split(":", 2)
    if name in ("mean", "max", "vote", "concat") and not rest:
        return Aggregation(name)
    if name == "topk" and rest and rest[0].isdigit() and int(rest[0]):
        return Aggregation(name, int(rest[0]), rest[1] if len(rest) > 1 else None)
    raise UsageError(
        f"--aggregate {text}: expected {', '.join(NAMES)} (K a number of rows; topk:K:COLUMN names "
        f"the column to go by)"
    )


def shrink(table: pa.Table, how: Aggregation, key: str, keep: Sequence[str]) -> pa.Table:
    """What `finish` needs of the rows of a shard: no more than a row per group for mean and max,
    K for topk. Raises ModelOutputError for outputs of which it cannot be made."""
    _check_names(table, how)
    if how.name == "topk":
        return _top(table, how, key, keep)[0]
    if how.name == "vote":
        return _with(table, key, keep, _choices)
    table = table.append_column(ROWS, pa.array(np.ones(table.num_rows, np.int64)))
    if how.name == "concat":
        return table
    return _reduced(table, how, key, keep)


def finish(tables: Sequence[pa.Table], how: Aggregation, key: str, keep: Sequence[str]) -> pa.Table:
    """The result, a row per group (of topk, K at most) in the order of the groups. Kept columns
    have the values of a group's first row, of topk each row its own."""
    table = pa.concat_tables(tables, promote_options="permissive")
    if how.name == "topk":
        table, ranks = _top(table, how, key, keep)
        return table.append_column(RANK, pa.array(ranks + 1))
    if how.name == "vote":
        return _voted(table, key, keep)
    if how.name == "concat":
        return _concatenated(table, key, keep)
    reduced = _reduced(table, how, key, keep)
    return _with(reduced, key, keep, _divider(reduced)) if how.name == "mean" else reduced


def _check_names(table: pa.Table, how: Aggregation) -> None:
    added = RANK if how.name == "topk" else ROWS
    if added in table.schema.names:
        raise ModelOutputError(
            f"--aggregate adds a column {added!r}, but there is one already: rename the output, or "
            f"do not keep it"
        )


def _outputs(table: pa.Table, key: str, keep: Sequence[str]) -> list[str]:
    return [n for n in table.schema.names if n not in (key, ROWS, *keep)]


def _with(
    table: pa.Table, key: str, keep: Sequence[str], change: Callable[[str, Any], pa.Array]
) -> pa.Table:
    """`table` with each output changed."""
    for name in _outputs(table, key, keep):
        array = change(name, table.column(name))
        table = table.set_column(table.schema.get_field_index(name), name, array)
    return table


def _grouped(table: pa.Table, key: str) -> tuple[pa.Table, np.ndarray]:
    """The rows in the order of `key`, else as before, and where each group begins."""
    table = table.take(pc.sort_indices(table, sort_keys=[(key, "ascending")]))
    encoded = table.column(key).combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    changes = np.flatnonzero(np.diff(codes)) + 1
    return table, np.concatenate([[0], changes]).astype(np.int64) if len(codes) else changes


def _reduced(table: pa.Table, how: Aggregation, key: str, keep: Sequence[str]) -> pa.Table:
    """Sums of the outputs of each group, in double precision, or their greatest values."""
    table, starts = _grouped(table, key)
    first = table.take(pa.array(starts))
    add = np.add if how.name == "mean" else np.maximum
    for name in [*_outputs(table, key, keep), ROWS]:
        field = table.schema.field(name)
        values = _numbers(name, table.column(name), how)
        if how.name == "mean" and name != ROWS:
            values = values.astype(np.float64)
        kept = (field.metadata or {}).get(_TYPE, _leaf(field.type).encode())
        change = np.add if name == ROWS else add
        array = fixed_lists(change.reduceat(values, starts, axis=0))
        field = pa.field(name, array.type, metadata={_TYPE: kept})
        first = first.set_column(first.schema.get_field_index(name), field, array)
    return first


def _divider(table: pa.Table) -> Callable[[str, Any], pa.Array]:
    """Makes means of sums, in single precision where the outputs were."""
    rows = table.column(ROWS).to_numpy()

    def change(name: str, column: Any) -> pa.Array:
        sums = to_values(column)
        means = sums / rows.reshape(-1, *[1] * (sums.ndim - 1))
        single = table.schema.field(name).metadata[_TYPE] == b"float"
        return fixed_lists(means.astype(np.float32) if single else means)

    return change


def _numbers(name: str, column: Any, how: Aggregation) -> np.ndarray:
    values = to_values(column)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise ModelOutputError(
            f"--aggregate {how.name}: output {name!r} is {column.type}: expected numbers, of one "
            f"shape in every row (vote and concat take others)"
        )
    return values


def _leaf(kind: pa.DataType) -> str:
    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return str(kind)


def _choices(name: str, column: Any) -> pa.Array:
    """What each row votes for: its value, or the place of the greatest of its values."""
    if not pa.types.is_nested(column.type):
        return column
    values = _numbers(name, column, Aggregation("vote"))
    return pa.array(values.reshape(len(values), -1).argmax(axis=1))


def _voted(table: pa.Table, key: str, keep: Sequence[str]) -> pa.Table:
    """The most frequent value in each group, the smallest of several."""
    table, starts = _grouped(table, key)
    counts = np.diff(np.append(starts, table.num_rows))
    codes = np.repeat(np.arange(len(starts)), counts)
    found = table.take(pa.array(starts))
    for name in _outputs(table, key, keep):
        votes = pa.table({"group": codes, "value": table.column(name)})
        votes = votes.group_by(["group", "value"]).aggregate([([], "count_all")])
        order = [("group", "ascending"), ("count_all", "descending"), ("value", "ascending")]
        votes = votes.sort_by(order)
        firsts = np.searchsorted(votes.column("group").to_numpy(), np.arange(len(starts)))
        best = votes.column("value").take(pa.array(firsts))
        found = found.set_column(found.schema.get_field_index(name), name, best)
    return found.append_column(ROWS, pa.array(counts))


def _concatenated(table: pa.Table, key: str, keep: Sequence[str]) -> pa.Table:
    """All values of each group as a list; those of lists of any length one after the other."""
    table, starts = _grouped(table, key)
    ends = np.append(starts, table.num_rows)
    found = table.take(pa.array(starts))
    for name in _outputs(table, key, keep):
        array, bounds = table.column(name).combine_chunks(), ends
        if pa.types.is_list(array.type):
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            bounds = np.concatenate([[0], np.cumsum(lengths)])[ends]
            array = array.flatten()
        lists = pa.LargeListArray.from_arrays(pa.array(bounds.astype(np.int64)), array)
        found = found.set_column(found.schema.get_field_index(name), name, lists)
    at = found.schema.get_field_index(ROWS)
    return found.set_column(at, ROWS, pa.array(np.diff(ends)))


def _top(
    table: pa.Table, how: Aggregation, key: str, keep: Sequence[str]
) -> tuple[pa.Table, np.ndarray]:
    """The best rows of each group, best first, and their ranks from 0."""
    column = how.column or _score(table, key, keep)
    if column not in table.schema.names:
        raise ModelOutputError(f"--aggregate topk: there is no output {column!r} to go by")
    order = pc.sort_indices(table, sort_keys=[(column, "descending")])
    table, starts = _grouped(table.take(order), key)
    counts = np.diff(np.append(starts, table.num_rows))
    ranks = np.arange(table.num_rows) - np.repeat(starts, counts)
    chosen = ranks < how.count
    return table.filter(pa.array(chosen)), ranks[chosen]


def _score(table: pa.Table, key: str, keep: Sequence[str]) -> str:
    outputs = _outputs(table, key, keep)
    kinds = {name: table.schema.field(name).type for name in outputs}
    single = [n for n, k in kinds.items() if pa.types.is_floating(k) or pa.types.is_integer(k)]
    if len(single) == 1:
        return single[0]
    raise ModelOutputError(
        f"--aggregate topk: expected one output column of single numbers to go by, but the outputs "
        f"are {', '.join(f'{n} ({k})' for n, k in kinds.items())}: name it, topk:K:COLUMN"
    )
