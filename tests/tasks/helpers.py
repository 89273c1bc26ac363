"""Pipelines over tiny files, for the tests of tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel.formats.base import ReadOptions
from mrmodel.shards.shard import Piece, Shard
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.pipeline import Pipeline
from mrmodel.tasks.shard_writer import ShardWriter
from mrmodel.tasks.sizing import BatchSizer


def shard(*paths: Path) -> Shard:
    """Whole files as one shard."""
    sizes = [path.stat().st_size for path in paths]
    pieces = zip(paths, sizes, strict=True)
    return Shard(tuple(Piece(str(path), 0, size, size) for path, size in pieces))


class Bench:
    """Runs shards of files with the columns id and x through a predictor that reads x."""

    def __init__(self, folder: Path, predictor: Any, batch_size: Any = "auto", **options: Any):
        self.out = folder / "out"
        self.out.mkdir(exist_ok=True)
        self.sizer = BatchSizer(batch_size, by_cost=hasattr(predictor, "size"))
        self.clock = Clock()
        self.read: list[int] = []
        self.batches: list[int] = []
        self.written: list[int] = []
        schema = pa.schema([("id", pa.int64()), ("x", options.pop("x_type", pa.float64()))])
        self.pipeline = Pipeline(
            predictor,
            options.pop("data_format", "parquet"),
            ReadOptions(schema, **options),
            ["x"],
            self.sizer,
            self.clock,
            on_read=lambda window: self.read.append(len(window)),
            on_batch=lambda rows, seconds: self.batches.append(rows),
            on_written=lambda window, writer: self.written.append(window.rows_in),
        )
        self.writer = ShardWriter(str(self.out), ["id"], "parquet", {"who": "test"})

    def run(self, *paths: Path) -> Bench:
        try:
            self.pipeline.run(shard(*paths), self.writer)
        finally:
            self.writer.close()
        return self

    def rows(self) -> list[dict[str, Any]]:
        part = self.out / "part.parquet"
        return pq.read_table(part).to_pylist() if part.exists() else []

    def ids(self) -> list[int]:
        return [row["id"] for row in self.rows()]

    def bad(self) -> list[dict[str, Any]]:
        letters = self.out / "bad.jsonl"
        if not letters.exists():
            return []
        return [json.loads(line) for line in letters.read_text().splitlines()]
