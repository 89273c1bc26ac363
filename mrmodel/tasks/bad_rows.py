"""The bad rows that a training task meets, as dead letters: once each, however often they are read.

They wait in ``STAGING/letters``, which is laid out and filled as the staging folder of predictions
(`tasks.staging`): a folder for each shard, whole or not there, the first attempt's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mrmodel import storage
from mrmodel.shards.shard import Shard
from mrmodel.tasks.parts import DeadLetters
from mrmodel.tasks.staging import Staging
from mrmodel.tasks.windows import Window


def letters_in(staging: Staging) -> Staging:
    """Where the dead letters of the job of `staging` wait."""
    return Staging(staging.folder("letters"))


class BadRows:
    """Those of `shard`, written as its windows are read within the context. ``count`` is their
    number."""

    def __init__(self, staging: Staging, attempt: str, shard: Shard, data_format: str):
        self._job, self._staging = staging, letters_in(staging)
        self._attempt, self._shard, self._format = attempt, shard, data_format
        self._seen: set[tuple[str, int]] = set()
        self._rows: int | None = None

    @property
    def count(self) -> int:
        return len(self._seen)

    def __enter__(self) -> BadRows:
        self._folder = self._staging.start(self._attempt, self._shard.key)
        self._letters = DeadLetters(storage.join(self._folder, "bad.jsonl"))
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._letters.close()
        if kind is not None:
            self._staging.abandon(self._folder)
            return
        self._job.check_ours()
        self._staging.finish(self._folder, self._shard.key, self._record())

    def watch(self, windows: Iterable[Window]) -> Iterator[Window]:
        """`windows`, which begin at the shard's first row, as they are."""
        rows = 0
        for window in windows:
            fresh = [row for row in window.bad if (row.source, row.row) not in self._seen]
            self._letters.write(sorted(fresh, key=lambda row: (row.source, row.row)))
            self._seen.update((row.source, row.row) for row in fresh)
            rows += window.rows_in
            yield window
        self._rows = rows

    def _record(self) -> dict[str, Any]:
        """Its number of rows is None where the shard was not read to its end."""
        return {
            "shard": self._shard.key,
            "pieces": self._shard.to_dict()["pieces"],
            "rows": {"in": self._rows, "bad": self.count},
            "part": None,
            "counts_from_piece": counts_from_piece(self._shard, self._format),
        }


def counts_from_piece(shard: Shard, data_format: str) -> bool:
    """Whether rows are counted from the beginning of the shard's piece: a reader of lines cannot
    know how many lines lie before it."""
    return data_format != "parquet" and shard.pieces[0].start > 0


def countable(shard: Shard, data_format: str) -> list[Shard]:
    """`shard`, or each of its pieces as one, where some count their rows from their beginning."""
    pieces = [Shard((piece,)) for piece in shard.pieces]
    if len(pieces) > 1 and any(counts_from_piece(one, data_format) for one in pieces):
        return pieces
    return [shard]
