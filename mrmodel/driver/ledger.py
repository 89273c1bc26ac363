"""The books of a job: every input row is good or bad, exactly once, or there is no _SUCCESS."""

from __future__ import annotations

from typing import Any

from mrmodel.errors import LedgerError
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Piece
from mrmodel.units import within_budget

Record = dict[str, Any]
_SHOWN = 3


def total(records: list[Record]) -> dict[str, int]:
    """Rows ``in``, ``ok`` and ``bad`` over all shards."""
    return {name: sum(record["rows"][name] for record in records) for name in ("in", "ok", "bad")}


def check(plan: Plan, records: list[Record]) -> None:
    """Raise LedgerError unless `records` cover the input of `plan` once and all rows add up.

    The number of rows that Parquet footers promised at planning is the independent witness.
    """
    pieces = [Piece(**piece) for record in records for piece in record["pieces"]]
    problems = check_coverage(plan.sources, pieces)
    rows = total(records)
    if rows["in"] != rows["ok"] + rows["bad"]:
        problems.append(f"{rows['in']} rows in, but {rows['ok']} good and {rows['bad']} bad")
    if plan.rows is not None and plan.rows != rows["in"]:
        problems.append(f"{plan.rows} rows at planning, but {rows['in']} were read")
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise LedgerError(
            f"the books do not balance: {'; '.join(problems[:_SHOWN])}{more}; nothing was "
            f"committed: did the input change while the job ran? run again with --resume"
        )


def allows(max_bad: str, rows: dict[str, int]) -> bool:
    """Whether `rows` has no more bad rows than --max-bad says."""
    return within_budget(max_bad, rows["bad"], rows["in"])


def errors(records: list[Record]) -> list[tuple[str, int, str]]:
    """(error, rows, an example of its message), the most common first."""
    found: dict[str, tuple[int, str]] = {}
    for record in records:
        for name, entry in record["errors"].items():
            count, example = found.get(name, (0, entry["example"]))
            found[name] = count + entry["count"], example
    return sorted(((n, c, e) for n, (c, e) in found.items()), key=lambda item: -item[1])
