"""What shards send of a bucket of groups, and the part file that a reducer makes of it.

Nothing here needs torch, whose import takes a second of each process.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mrmodel.tasks.json_rows import json_lines, to_rows
from mrmodel.tensors.aggregation import ROWS, finish, parse_aggregation

_ABOUT = b"mrmodel.about"


def sent(table: pa.Table, about: dict[str, Any]) -> bytes:
    """`table`, the rows of a shard that are in the bucket, with what the reducer needs to know."""
    table = table.replace_schema_metadata({_ABOUT: json.dumps(about)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def aggregate(values: Iterable[bytes]) -> bytes:
    """The part file of a bucket, of which `values` are what the shards `sent`."""
    tables = sorted((pa.ipc.open_stream(v).read_all() for v in values), key=_place)
    about = _about(tables[0])
    how = parse_aggregation(about["aggregate"])
    plain = [table.replace_schema_metadata() for table in tables]
    table = finish(plain, how, about["by"], about["keep"])
    # what fields carry is between mappers and reducers
    table = pa.table(table.columns, names=table.schema.names)
    if about["models"] > 1 and how.name != "topk":
        table = _count_rows(table, about["models"])
    if about["format"] == "jsonl":
        batches = table.combine_chunks().to_batches()
        return b"".join(json_lines(to_rows(batch)) for batch in batches)
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _count_rows(table: pa.Table, models: int) -> pa.Table:
    """`table` with the number of rows, not that of the predictions of all `models`."""
    at = table.schema.get_field_index(ROWS)
    return table.set_column(at, ROWS, pc.divide(table.column(at), models))


def _about(table: pa.Table) -> dict[str, Any]:
    return json.loads(table.schema.metadata[_ABOUT])


def _place(table: pa.Table) -> tuple[str, int, list[int]]:
    """Where in the input a shard's rows begin."""
    about = _about(table)
    return (*about["at"], about["rows"] or [0, 0])
