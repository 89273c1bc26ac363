"""Writes what became of a shard's windows: predictions in input order, dead letters beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel import storage
from mrmodel.errors import ModelOutputError
from mrmodel.models.ensemble import told_by
from mrmodel.tasks.forward import Failure, Result, Success
from mrmodel.tasks.parts import PARTS, DeadLetters, PartWriter
from mrmodel.tasks.windows import Window
from mrmodel.tensors.outputs import unify, widen


class ShardWriter:
    """Counts ``rows_in``, ``rows_ok`` and ``rows_bad`` as it writes into `folder`."""

    def __init__(
        self, folder: str, keep: Sequence[str], output_format: str, metadata: dict[str, str]
    ):
        self._folder = folder
        self._keep = list(keep)
        self._part_class = PARTS[output_format]
        self._metadata = metadata
        self._part: PartWriter | None = None
        self._outputs_schema: pa.Schema | None = None
        self.dead_letters = DeadLetters(storage.join(folder, "bad.jsonl"))
        self.rows_in = self.rows_ok = 0

    @property
    def part_name(self) -> str | None:
        """The part file's name in the folder; None when no row was good."""
        return f"part.{self._part_class.suffix}" if self._part else None

    def write(self, window: Window, results: list[Result]) -> None:
        """Write the rows of `window`, in its order."""
        self.rows_in += window.rows_in
        self._write_bad(window, [r for r in results if isinstance(r, Failure)])
        good = [r for r in results if isinstance(r, Success)]
        if good:
            self._write_good(window, good)

    def close(self) -> None:
        self.dead_letters.close()
        if self._part is not None:
            self._part.close()

    def _write_bad(self, window: Window, failures: list[Failure]) -> None:
        rows = list(window.bad) + [
            window.bad_row(failure.index, type(failure.error).__name__, _message(failure.error))
            for failure in failures
        ]
        self.dead_letters.write(sorted(rows, key=lambda row: (row.source, row.row)))

    def _write_good(self, window: Window, good: list[Success]) -> None:
        indices = np.concatenate([success.indices for success in good])
        outputs = self._in_one(good).take(pa.array(np.argsort(indices, kind="stable")))
        kept = window.batch.select(self._keep).take(pa.array(np.sort(indices)))
        self.put(kept, outputs)
        self.rows_ok += outputs.num_rows

    def put(self, kept: pa.RecordBatch, outputs: pa.RecordBatch) -> None:
        """Take in good rows: their kept columns and what the model gave, in input order."""
        batch = _side_by_side(kept, outputs)
        if self._part is None:
            uri = storage.join(self._folder, f"part.{self._part_class.suffix}")
            self._part = self._part_class(uri, self._metadata)
        self._part.write(batch)

    def _in_one(self, good: list[Success]) -> pa.RecordBatch:
        schema = self._outputs_schema or good[0].outputs.schema
        for success in good:
            schema = widen(schema, success.outputs.schema)
        self._outputs_schema = schema
        batches = [unify(schema, success.outputs) for success in good]
        return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _message(error: Exception) -> str:
    model = told_by(error)
    return f"model {model}: {error}" if model else str(error)


def _side_by_side(kept: pa.RecordBatch, outputs: pa.RecordBatch) -> pa.RecordBatch:
    both = sorted(set(kept.schema.names) & set(outputs.schema.names))
    if both:
        raise ModelOutputError(
            f"predict returned column {both[0]!r}, which is also a column of the input: rename "
            f"the output, or name the columns to keep without it (--keep)"
        )
    return pa.RecordBatch.from_arrays(
        kept.columns + outputs.columns, schema=_joined(kept.schema, outputs.schema)
    )


def _joined(kept: pa.Schema, outputs: pa.Schema) -> pa.Schema:
    return pa.schema([*kept, *outputs])


def metadata_of(model_sha256: str, shard: Any, version: str) -> dict[str, str]:
    """What every part says of itself."""
    sources = [_source(piece) for piece in shard.pieces]
    return {
        "mrmodel.version": version,
        "mrmodel.model_sha256": model_sha256,
        "mrmodel.shard": shard.key,
        # Arrow takes no names that are not Unicode
        "mrmodel.source": "\n".join(sources[:100]).encode(errors="backslashreplace").decode(),
    }


def _source(piece: Any) -> str:
    rows = "" if piece.rows is None else f" rows {piece.rows[0]}-{piece.rows[1]}"
    return f"{piece.uri}:{piece.start}+{piece.length}{rows}"
