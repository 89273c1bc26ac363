"""From finished shards to OUTPUT: parts get their numbers, then one rename makes them visible.

``final`` in the staging folder is OUTPUT in the making. ``final.json`` (shard → part) is written
before the first part moves there, so that a driver which is killed in the middle can be followed
by one that goes on; where it stands without ``final``, the commit was complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from mrmodel import storage
from mrmodel.driver.ledger import Record
from mrmodel.driver.target import Target, put_back_old
from mrmodel.errors import JobError
from mrmodel.parallel import map_parallel
from mrmodel.tasks.json_rows import json_lines
from mrmodel.tasks.staging import Staging


def number_parts(records: list[Record]) -> list[Record]:
    """`records` (in input order) with ``output`` and ``bad``, the names of their files."""
    numbered = []
    for number, record in enumerate(records):
        suffix = (record["part"] or "").rpartition(".")[2]
        output = f"part-{number:05d}.{suffix}" if record["part"] else None
        bad = f"_bad/part-{number:05d}.jsonl" if record["rows"]["bad"] else None
        numbered.append({**record, "output": output, "bad": bad})
    return numbered


def assemble(
    target: Target,
    records: list[Record],
    run: dict[str, Any],
    success: bool,
    more: dict[str, bytes] | None = None,
    reduced: dict[str, str] | None = None,
) -> None:
    """Build ``final``: run.json, dead letters and files with the contents `more`; then parts and
    files that reducers made (name → group); last, _SUCCESS."""
    staging = target.staging
    store = storage.storage_for(target.uri)
    store.delete(staging.folder("final"))  # what a commit that was taken back has left
    store.mkdir(staging.folder("final"))
    _write_all(staging, records, run, more or {})
    map_parallel(lambda record: _move_part(staging, record), records)
    map_parallel(
        lambda item: store.rename(
            staging.folder("reduced", item[1]), staging.folder("final", item[0])
        ),
        (reduced or {}).items(),
    )
    if success:
        storage.write_bytes(staging.folder("final", "_SUCCESS"), b"")


def _write_all(
    staging: Staging, records: list[Record], run: dict[str, Any], more: dict[str, bytes]
) -> None:
    """Write what is new, side by side: HDFS may take half a second to close a file."""
    first = first_rows(records)
    parts = {record["shard"]: record["output"] for record in records}
    writes: list[Callable[[], None]] = [
        lambda: storage.write_json(staging.folder("final.json"), parts),
        lambda: storage.write_json(staging.folder("final", "_mrmodel", "run.json"), run),
        *(partial(storage.write_bytes, staging.folder("final", n), d) for n, d in more.items()),
        *(partial(_write_bad, staging, r, first[r["shard"]]) for r in records if r["bad"]),
    ]
    map_parallel(lambda write: write(), writes)


def publish(target: Target) -> None:
    """Make ``final`` the output, in place of an old one, and remove the staging folder."""
    store = storage.storage_for(target.uri)
    if target.exists:
        store.delete(target.outgoing)
        store.rename(target.uri, target.outgoing)
    try:
        store.rename(target.staging.folder("final"), target.uri)
    except FileExistsError as error:
        raise JobError(
            f"output {target.uri} was made by somebody else while the job ran: remove it or name "
            f"another; finished shards are kept for --resume in {target.staging.uri}"
        ) from error
    except BaseException:
        put_back_old(target.uri, target.staging)
        raise
    target.staging.delete()


def take_back(staging: Staging) -> None:
    """Move the parts of a commit that was cut off back to their shards."""
    if not storage.exists(staging.folder("final.json")):
        return
    store = storage.storage_for(staging.uri)
    if not storage.exists(staging.folder("final")):  # it is the output already
        staging.delete()
        return
    for shard, part in storage.read_json(staging.folder("final.json")).items():
        source = staging.folder("final", part) if part else None
        if source and storage.exists(source):
            name = f"part.{part.rpartition('.')[2]}"
            store.rename(source, staging.folder("done", shard, name))
    store.delete(staging.folder("final.json"))
    store.delete(staging.folder("final"))


def keep_shards(target: Target, wanted: set[str]) -> None:
    """Copy the shards of the existing OUTPUT that this run wants into the staging folder."""
    records = (target.run or {}).get("shards", [])
    done = target.staging.records()
    map_parallel(
        lambda record: _keep(target, record),
        [r for r in records if r["shard"] in wanted and r["shard"] not in done],
    )


def _keep(target: Target, record: Record) -> None:
    folder = target.staging.start("kept", record["shard"])
    store = storage.storage_for(target.uri)
    if record["output"]:
        store.copy(storage.join(target.uri, record["output"]), storage.join(folder, record["part"]))
    if record["bad"]:
        _copy_bad(target, record, folder)
    target.staging.finish(folder, record["shard"], record)


def _copy_bad(target: Target, record: Record, folder: str) -> None:
    """The dead letters with rows counted from the piece again, as a task writes them."""
    lines = storage.read_bytes(storage.join(target.uri, record["bad"]))
    shifted = shift(lines, -record.get("first_row", 0))
    storage.write_bytes(storage.join(folder, "bad.jsonl"), shifted)


def _move_part(staging: Staging, record: Record) -> None:
    if record["output"]:
        source = staging.folder("done", record["shard"], record["part"])
        storage.storage_for(staging.uri).rename(source, staging.folder("final", record["output"]))


def _write_bad(staging: Staging, record: Record, first_row: int | None) -> None:
    lines = storage.read_bytes(staging.folder("done", record["shard"], "bad.jsonl"))
    storage.write_bytes(staging.folder("final", record["bad"]), shift(lines, first_row))


def first_rows(records: list[Record]) -> dict[str, int | None]:
    """Shard → the number of rows of its file before it, where its reader could not know; None
    where nobody does, as one before it was not read to its end. `records` are in input order."""
    before: dict[str, int | None] = {}
    first = {}
    for record in records:
        uri, counts = record["pieces"][0]["uri"], record.get("counts_from_piece", False)
        known, rows = before.get(uri, 0), record["rows"]["in"]
        first[record["shard"]] = record["first_row"] = known if counts else 0
        before[uri] = None if known is None or rows is None else known + rows
    return first


def shift(lines: bytes, rows: int | None) -> bytes:
    """Dead letters with `rows` added to their row numbers; without these where that is None."""
    if rows == 0:
        return lines
    letters = [json.loads(line) for line in lines.splitlines()]
    return json_lines(
        {**letter, "row": None if rows is None else letter["row"] + rows} for letter in letters
    )
