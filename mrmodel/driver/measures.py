"""What an evaluation found, for people and for programs."""

from __future__ import annotations

from typing import Any

from mrmodel.driver import summary as run_summary
from mrmodel.driver.run import Run, metric_names

Measure = dict[str, Any]
_SHOWN_ELEMENTS = 6


def as_json(run: Run) -> dict[str, Any]:
    """``{"metrics": {NAME: value}, "rows": …}``; with "groups", and "intervals" of a bootstrap."""
    overall = [measure for measure in run.measures if measure["overall"]]
    told: dict[str, Any] = {"metrics": {}, "rows": run.rows}
    for measure in overall:
        told |= _figures(measure)
    groups = [measure for measure in run.measures if not measure["overall"]]
    if groups:
        told["groups"] = [{"group": m["group"], "rows": m["rows"], **_figures(m)} for m in groups]
    return told


def _figures(measure: Measure) -> dict[str, Any]:
    names = metric_names(measure["metrics"])
    found = {name: m["value"] for name, m in zip(names, measure["metrics"], strict=True)}
    intervals = {
        name: [m["low"], m["high"]]
        for name, m in zip(names, measure["metrics"], strict=True)
        if "low" in m
    }
    return {"metrics": found, **({"intervals": intervals} if intervals else {})}


def table(measures: list[Measure]) -> list[str]:
    """A line per group and metric."""
    if not measures:
        return ["no rows to measure"]
    grouped = len(measures) > 1
    head = ["group", "rows", "metric", "value", "95% interval"]
    rows = [row for measure in measures for row in _table_rows(measure)]
    shown = [0, 1, 2, 3, 4] if any(row[4] for row in rows) else [0, 1, 2, 3]
    shown = shown if grouped else shown[1:]
    cells = [[row[i] for i in shown] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(shown))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _table_rows(measure: Measure) -> list[list[str]]:
    group = "(all)" if measure["overall"] else str(measure["group"])
    return [
        [group, f"{measure['rows']:,}", name, _number(m["value"]), _interval(m)]
        for name, m in zip(metric_names(measure["metrics"]), measure["metrics"], strict=True)
    ]


def _interval(metric: dict[str, Any]) -> str:
    return f"{_number(metric['low'])} to {_number(metric['high'])}" if "low" in metric else ""


def _number(value: Any) -> str:
    if isinstance(value, list):
        more = ", …" if len(value) > _SHOWN_ELEMENTS else ""
        return f"[{', '.join(map(_number, value[:_SHOWN_ELEMENTS]))}{more}]"
    return "–" if value is None else f"{value:.6g}"


def summary(run: Run, output: str | None) -> list[str]:
    """The summary of `run`; the folder only where it stays."""
    lines = run_summary.lines(run)
    return lines if output else [line for line in lines if not line.startswith("output ")]
