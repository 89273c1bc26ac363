"""What a system makes of one bad row, and of a worker that is killed."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from . import agree, watch
from .rival_list import System
from .rival_runs import add_lines, commands_of, first_note, output_of
from .systems import Setting
from .venvs import Environment
from .workloads import DataSet

BAD_ROW, KILLED = "bad row", "kill -9"
TOO_LATE = "kill -9, but too late"  # it was over by then: give it more rows
BAD_ID = 7_777_777_777  # can be found in what a system prints
# after so many times as long as with the bad row, nobody waits for a run any more
MUCH_LONGER, SHORT = 5, 30.0
_AFTER_FIRST = 0.5  # seconds after the first batch, when all workers are at work
_LOOK = 0.05


@dataclass(frozen=True)
class Fault:
    """`code` is the exit code, None where the system had to be killed after waiting in vain
    (`ended` is false then); `rows` of the `good` ones are in files that can be read."""

    system: str
    kind: str
    code: int | None
    ended: bool
    seconds: float
    named: str
    rows: int
    good: int


def spoil(setting: Setting) -> Setting:
    """`setting` with the same rows, of which the one in the middle has no value."""
    folder = setting.folder / "spoilt"
    (folder / "in").mkdir(parents=True, exist_ok=True)
    files, middle = setting.data.files, len(setting.data.files) // 2
    paths = []
    for number, file in enumerate(files):
        table = pq.read_table(file)
        path = folder / "in" / file.name
        pq.write_table(_spoilt(table, len(table) // 2) if number == middle else table, path)
        paths.append(path)
    data = DataSet(tuple(paths), setting.data.rows, setting.data.nbytes)
    return replace(setting, data=data, folder=folder)


def _spoilt(table: pa.Table, row: int) -> pa.Table:
    """With BAD_ID for an id in `row`, and in the column after that nothing, or half a JPEG."""
    ids = table.column("id").to_pylist()
    values = table.column(1).to_pylist()
    ids[row] = BAD_ID
    values[row] = values[row][: len(values[row]) // 2] if isinstance(values[row], bytes) else None
    field = table.schema.field(1)
    return table.set_column(0, "id", pa.array(ids, pa.int64())).set_column(
        1, field.name, pa.array(values, field.type)
    )


def bad_row(system: System, setting: Setting, found: Environment | None, patience: float) -> Fault:
    """Run `system` over rows that `spoil` has made."""
    return _run(BAD_ROW, system, setting, found, patience)


def kill_worker(
    system: System, setting: Setting, found: Environment | None, patience: float
) -> Fault:
    """Run `system`, and kill the process that predicted first shortly after it did."""
    return _run(KILLED, system, setting, found, patience)


def _run(
    kind: str, system: System, setting: Setting, found: Environment | None, patience: float
) -> Fault:
    add_lines(setting, [system])
    commands, env = commands_of(system, setting, found)
    began = time.monotonic()
    logs = [setting.folder / f"fault-{i}" for i in range(len(commands))]
    processes = [watch.start(c, env, log) for c, log in zip(commands, logs, strict=True)]
    with watch.Watch([p.pid for p in processes], patience=patience) as seen:
        try:
            if kind == KILLED and not _kill_first(first_note(setting), processes):
                kind = TOO_LATE
            codes = [process.wait() for process in processes]
            seconds = time.monotonic() - began
        finally:
            seen.kill_rest()
    ids = _ids(output_of(system, setting))
    return Fault(
        system.name,
        kind,
        None if seen.killed else _first_failure(codes),
        not seen.killed,
        seconds,
        _named(ids, logs, output_of(system, setting)) if kind == BAD_ROW else "–",
        len(ids - {BAD_ID}),
        setting.data.rows - (kind == BAD_ROW),
    )


def _kill_first(note: Path, processes: list[subprocess.Popen]) -> bool:
    """Kill the process that predicted first; whether it was still at work."""
    while not note.exists():
        if all(process.poll() is not None for process in processes):
            return False
        time.sleep(_LOOK)
    time.sleep(_AFTER_FIRST)
    try:
        worker = psutil.Process(json.loads(note.read_text())["pid"])
        at_work = worker.status() != psutil.STATUS_ZOMBIE
        worker.kill()
    except psutil.NoSuchProcess:
        return False
    return at_work


def _first_failure(codes: Iterable[int]) -> int:
    return next((code for code in codes if code), 0)


def _ids(output: Path) -> set[int]:
    rows = agree.read_folder(output)
    return set(rows.column("id").to_pylist()) if len(rows) else set()


def _named(ids: set[int], logs: list[Path], output: Path) -> str:
    """Where a person finds which row it was: its id, or its file and place."""
    if BAD_ID in ids:
        return "no: predicted as if it were good"
    printed = [Path(f"{log}{ending}") for log in logs for ending in (".out", ".err")]
    if any(_names(path) for path in printed):
        return "printed"
    left = [path for path in output.rglob("*.json*") if path.is_file()] if output.exists() else []
    return "in a file" if any(_names(path) for path in left) else "no"


def _names(path: Path) -> bool:
    text = path.read_text("utf-8", errors="replace")
    return bool(re.search(rf"\b{BAD_ID}\b|rows-\d+\.parquet\W+(row|line) \d+", text))
