"""The dead letters of a training: from where tasks leave them to CHECKPOINTS/_bad."""

from __future__ import annotations

from collections.abc import Sequence

from mrmodel import storage
from mrmodel.driver import commit
from mrmodel.parallel import map_parallel
from mrmodel.shards.plan import Source
from mrmodel.tasks.bad_rows import letters_in
from mrmodel.tasks.staging import Staging
from mrmodel.training.checkpoints import BAD


def keep_letters(staging: Staging, sources: Sequence[Source], checkpoints: str) -> None:
    """Write what the tasks of `staging` have left, in place of what an earlier job wrote: the same
    columns as those of predictions, the rows counted from the beginning of the file."""
    letters = letters_in(staging)
    place = {source.uri: number for number, source in enumerate(sources)}

    def in_input(record: commit.Record) -> tuple[int, int]:
        piece = record["pieces"][0]
        return place[piece["uri"]], piece["start"]

    def keep(record: commit.Record) -> None:
        lines = storage.read_bytes(letters.folder("done", record["shard"], "bad.jsonl"))
        uri = storage.join(checkpoints, record["bad"])
        storage.write_bytes(uri, commit.shift(lines, first[record["shard"]]))

    records = commit.number_parts(sorted(letters.records().values(), key=in_input))
    if records:
        first = commit.first_rows(records)
        storage.storage_for(checkpoints).delete(storage.join(checkpoints, BAD))
        map_parallel(keep, [record for record in records if record["bad"]])
