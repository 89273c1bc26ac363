"""How fast tasks of a model were, kept on this machine to cut the input of its next job by."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.driver.ledger import Record
from mrmodel.shards.cutting import work
from mrmodel.specs import ExecutionSpec
from mrmodel.users import cache_folder

_ENOUGH = 10.0  # seconds of work: less says more of starting than of working
_KEPT = 1000


def rate_key(identity: dict[str, str], data_format: str, execution: ExecutionSpec) -> str:
    """What a rate depends on, of what is known before a job runs."""
    parts = (identity["model"], identity["code"], data_format, execution.threads, execution.vcores)
    return "-".join(map(str, parts))


def remembered_rate(key: str) -> float | None:
    """Bytes of input (as `work` counts them) per second of a task; None where no job has told."""
    return _read().get(key, {}).get("rate")


def remember_rate(key: str, records: Sequence[Record]) -> None:
    """Keep what the tasks that left `records` say; nothing where they did too little."""
    seconds = sum(record["elapsed"] for record in records)
    if seconds < _ENOUGH:
        return
    told = _read()
    done = sum(work(record["bytes"], len(record["pieces"])) for record in records)
    told[key] = {"rate": done / seconds, "at": time.time()}
    newest = sorted(told.items(), key=lambda item: item[1]["at"])[-_KEPT:]
    with suppress(OSError):  # a folder that cannot be written: the next job knows nothing
        storage.write_json(str(_file()), dict(newest))


def _file() -> Path:
    return cache_folder() / "rates.json"


def _read() -> dict[str, Any]:
    try:
        told = json.loads(_file().read_text())
        return {key: each for key, each in told.items() if each["rate"] > 0 and each["at"] > 0}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}  # there is none, or somebody else wrote it
