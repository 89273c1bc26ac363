"""A look at an input for people: what it holds and how it would be split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import median_low
from typing import Any

import pyarrow.parquet as pq

from mrmodel.formats import get_format
from mrmodel.formats.base import Block, ReadOptions
from mrmodel.parallel import map_parallel
from mrmodel.shards.hadoop import hadoop_split_plan
from mrmodel.shards.plan import Plan, Source
from mrmodel.shards.planning import plan_data
from mrmodel.specs import DataSpec
from mrmodel.storage import storage_for

_CELL = 60
_FIRST_PIECES = 100


@dataclass(frozen=True)
class Survey:
    """``rows`` is an estimate unless ``exact``, None where there is nothing to estimate from.

    ``row_groups`` and ``shards`` hold count, min, median and max bytes; ``partitions`` the number
    of values per column; ``data_local`` and ``hadoop_tasks`` are None unless all is on HDFS.
    """

    format: str
    columns: dict[str, str]
    rows: int | None
    exact: bool
    files: int
    nbytes: int
    partitions: dict[str, int]
    row_groups: dict[str, int] | None
    shards: dict[str, int]
    data_local: int | None
    hadoop_tasks: int | None
    sample: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; values that JSON has no word for, and long ones, become text."""
        sample = [{name: _jsonable(row[name]) for name in row} for row in self.sample]
        return {**asdict(self), "sample": sample}


def survey(data: DataSpec, shard_size: int, sample_rows: int = 5) -> Survey:
    """What `data` holds, read from footers and a sample. Raises what `plan_data` raises."""
    plan = plan_data(data, None, shard_size)
    first = list(_first_blocks(plan, data, sample_rows))
    rows = plan.rows if plan.rows is not None else _estimate(plan, first)
    local, tasks = _on_hadoop(plan, shard_size)
    return Survey(
        format=plan.format,
        columns={column.name: str(column.type) for column in plan.schema},
        rows=rows,
        exact=plan.rows is not None or not plan.sources,
        files=plan.files,
        nbytes=plan.nbytes,
        partitions={name: _values(plan.sources, name) for name in plan.partitions},
        row_groups=_row_groups(plan) if plan.format == "parquet" else None,
        shards=_spread([shard.length for shard in plan.shards]),
        data_local=local,
        hadoop_tasks=tasks,
        sample=list(islice(_records(first), sample_rows)),
    )


def _first_blocks(plan: Plan, data: DataSpec, rows: int) -> Iterator[Block]:
    """The first blocks of the input, until they hold `rows` rows."""
    options = ReadOptions(plan.schema, image_size=data.image_size)
    pieces = (piece for shard in plan.shards for piece in shard.pieces)
    for piece in islice(pieces, _FIRST_PIECES):
        for block in get_format(plan.format).read(piece, options):
            yield block
            rows -= len(block.rows)
            break  # of each piece one block: a sample, not a scan
        if rows <= 0:
            return


def _estimate(plan: Plan, blocks: Sequence[Block]) -> int | None:
    """The rows of the input if all of it is like `blocks`."""
    nbytes = sum(block.nbytes for block in blocks)
    rows = sum(len(block.rows) + len(block.bad) for block in blocks)
    if not nbytes:
        return None if plan.sources else 0
    return round(rows * plan.nbytes / nbytes)


def _records(blocks: Iterable[Block]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for number in range(block.batch.num_rows):
            yield from block.batch.slice(number, 1).to_pylist()


def _values(sources: Sequence[Source], column: str) -> int:
    return len({source.partition[column] for source in sources})


def _on_hadoop(plan: Plan, shard_size: int) -> tuple[int | None, int | None]:
    """(data-local tasks, all tasks) for input that is on HDFS."""
    if not plan.sources or not all(source.uri.startswith("hdfs://") for source in plan.sources):
        return None, None
    split = hadoop_split_plan(plan.sources, shard_size)
    return len(split.shards), len(split.shards) + len(split.manifest)


def _row_groups(plan: Plan) -> dict[str, int]:
    sizes = map_parallel(_row_group_sizes, [source.uri for source in plan.sources])
    return _spread([size for of_file in sizes for size in of_file])


def _row_group_sizes(uri: str) -> list[int]:
    with storage_for(uri).open(uri) as file:
        footer = pq.read_metadata(file)
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    return [
        sum(group.column(n).total_compressed_size for n in range(group.num_columns))
        for group in groups
    ]


def _spread(sizes: Sequence[int]) -> dict[str, int]:
    if not sizes:
        return {"count": 0, "min": 0, "median": 0, "max": 0}
    return {
        "count": len(sizes),
        "min": min(sizes),
        "median": median_low(sizes),
        "max": max(sizes),
    }


def cell(value: Any) -> str:
    """`value` in at most 60 characters of one line."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list) and len(value) > 6:
        inside = ", ".join(cell(item) for item in value[:3])
        text = f"[{inside}, ... {len(value):,} in all]"
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _jsonable(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return value if isinstance(value, str) and len(value) <= 1000 else cell(value)
