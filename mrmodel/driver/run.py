"""The run as a value: what run.json holds, and what mrmodel.predict returns."""

from __future__ import annotations

import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mrmodel.driver import ledger, startup
from mrmodel.driver.ledger import Record
from mrmodel.driver.model_files import ModelFiles
from mrmodel.shards.plan import Plan
from mrmodel.tasks.clock import PHASES
from mrmodel.version import __version__

_CALLS = ("compiled", "as_it_is")
_PACKAGES = ("torch", "pyarrow", "numpy", "mrjob", "hdfs-native")


@dataclass(frozen=True)
class Run:
    """What a job did. `rows` has ``in``, ``ok`` and ``bad``; `seconds` ``total``, ``start`` (until
    the first task ran) and the phases summed over tasks; `forward_share` is forward seconds ÷
    task seconds after load; `errors` are (error, rows, example), the most common first; `kept`
    counts the shards of an earlier run that did not run again; `measures` are what `evaluate`
    found, of all rows and of each group; `startup` has the parts of the seconds until the first
    batch; `cut` the size of shards, and why."""

    output: str
    success: bool
    runner: str
    rows: dict[str, int]
    model: dict[str, Any]
    inputs: list[dict[str, Any]]
    seconds: dict[str, float]
    rows_per_second: float
    forward_share: float
    errors: list[tuple[str, int, str]]
    versions: dict[str, str]
    identity: dict[str, str]
    started: float
    kept: int = 0
    applications: tuple[str, ...] = ()
    measures: list[dict[str, Any]] = field(default_factory=list)
    startup: dict[str, float] = field(default_factory=dict)
    cut: dict[str, Any] = field(default_factory=dict)
    shards: list[Record] = field(default_factory=list, repr=False)

    @property
    def metrics(self) -> dict[str, Any]:
        """Metric → value over all rows, of an evaluation; by the metric's name and arguments where
        two have one name."""
        overall = [m for measure in self.measures if measure["overall"] for m in measure["metrics"]]
        values = [metric["value"] for metric in overall]
        return dict(zip(metric_names(overall), values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """As in run.json."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        errors = [{"error": n, "rows": c, "example": e} for n, c, e in self.errors]
        return {**found, "errors": errors, "applications": list(self.applications)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Run:
        errors = [(e["error"], e["rows"], e["example"]) for e in data["errors"]]
        return cls(**{**data, "errors": errors, "applications": tuple(data["applications"])})


def metric_names(metrics: list[dict[str, Any]]) -> list[str]:
    """The names of measured `metrics` as they were given; with the arguments where two are the
    same."""
    often = Counter(metric["name"] for metric in metrics)
    return [m["name"] if often[m["name"]] == 1 else m["text"] for m in metrics]


def describe(
    output: str,
    success: bool,
    runner: str,
    plan: Plan,
    files: ModelFiles,
    identity: dict[str, str],
    records: list[Record],
    started: float,
    kept: set[str],
    applications: tuple[str, ...],
    marks: dict[str, float],
) -> Run:
    """The run that made `records`. Shards in `kept` count for the rows, not for the time."""
    fresh = [record for record in records if record["shard"] not in kept]
    rows = ledger.total(records)
    seconds = _seconds(fresh, started)
    busy = sum(record["elapsed"] for record in fresh)
    return Run(
        output=output,
        success=success,
        runner=runner,
        rows=rows,
        model={**files.described, **_calls(fresh)},
        inputs=[{"uri": s.uri, "bytes": s.size, "rows": s.rows} for s in plan.sources],
        seconds=seconds,
        rows_per_second=ledger.total(fresh)["in"] / max(seconds["total"], 1e-9),
        forward_share=min(1.0, seconds["forward"] / busy) if busy else 0.0,
        errors=ledger.errors(records),
        versions=versions(),
        identity=identity,
        started=started,
        kept=len(kept),
        applications=applications,
        startup=startup.parts(started, marks, fresh),
        shards=records,
    )


def _calls(records: list[Record]) -> dict[str, Any]:
    """How often machine code of --compile ran; nothing where it was not asked for."""
    told = [record["calls"] for record in records if "calls" in record]
    return {"calls": {name: sum(c[name] for c in told) for name in _CALLS}} if told else {}


def _seconds(records: list[Record], started: float) -> dict[str, float]:
    phases = {name: sum(r["seconds"][name] for r in records) for name in PHASES}
    first = min((record["begun"] for record in records), default=started)
    found = {"total": time.time() - started, "start": max(0.0, first - started), **phases}
    return {name: round(value, 3) for name, value in found.items()}


def versions() -> dict[str, str]:
    """Of mrmodel, Python and the libraries that results depend on."""
    found = {"mrmodel": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
