"""Straight lines through what was measured, and a planner's rates by least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrmodel.driver.forecast import Forecast, Rates, Work, forecast

from .errors import BenchError
from .scaling import Run, Shape

STRAIGHT = 0.10  # how far a measurement may be from a straight line
PARTS = ("start", "work", "end")


@dataclass(frozen=True)
class Line:
    """`base` + `slope` × amount; `worst` is the largest difference of a measurement to it, as a
    share of the line (above 0: measured more), `where` the number of that measurement."""

    base: float
    slope: float
    worst: float
    where: int

    @property
    def is_straight(self) -> bool:
        return abs(self.worst) <= STRAIGHT

    def at(self, amount: float) -> float:
        return self.base + self.slope * amount


def line(amounts: Sequence[float], measured: Sequence[float]) -> Line:
    """The line that is nearest to `measured` in relative terms: small jobs count as large ones.
    Raises BenchError for fewer than three different amounts, through which there always is one."""
    if len(set(amounts)) < 3:
        raise BenchError(
            f"a straight line through {len(set(amounts))} points says nothing: expected at least 3"
        )
    x, y = np.asarray(amounts, dtype=float), np.asarray(measured, dtype=float)
    terms = np.stack([np.ones_like(x), x / x.max()], axis=1)
    base, slope = np.linalg.lstsq(terms / y[:, None], np.ones_like(y), rcond=None)[0]
    off = y / (terms @ (base, slope)) - 1
    worst = int(np.abs(off).argmax())
    return Line(float(base), float(slope / x.max()), float(off[worst]), worst)


def _terms(run: Run) -> dict[str, dict[str, float]]:
    """What each part of a run's seconds is made of: part → what there is of it → how much. All
    tasks of a wave work at once, on a share of the rows each, and take turns where there are fewer
    cores."""
    shape, crowding = run.shape, run.cluster.crowding(run.tasks)
    share = crowding * run.waves / run.tasks
    return {
        "start": {
            "job": 1,
            "file": shape.files,
            "footer": shape.files * shape.columns,
            "crowd": crowding - 1,
        },
        "work": {
            "load": run.waves,
            "wave": run.waves - 1,
            "row": shape.rows * share,
            "value": shape.rows * shape.columns * share,
            "window": shape.windows * shape.columns * share,
            "unit": shape.rows * shape.units * share,
            "flop": shape.rows * shape.flops * share,
            "file": shape.files * share,
            "chunk": shape.files * shape.columns * share,
            "shard": run.shards * share,
        },
        "end": {"job": 1, "file": shape.files, "shard": run.shards},
    }


@dataclass(frozen=True)
class Planner:
    """`seconds` of each term that there was, by part; `runs` is how many it was fitted on."""

    seconds: Mapping[str, Mapping[str, float]]
    runs: int

    def rates(self, shape: Shape) -> Rates:
        """What a job of `shape` takes, per row and so on."""

        def of(part: str, name: str) -> float:
            return self.seconds[part].get(name, 0.0)

        return Rates(
            start=of("start", "job"),
            row=of("work", "row")
            + of("work", "value") * shape.columns
            + of("work", "window") * shape.columns * shape.windows / shape.rows
            + of("work", "unit") * shape.units
            + of("work", "flop") * shape.flops,
            load=of("work", "load"),
            wave=of("work", "wave"),
            file=of("work", "file") + of("work", "chunk") * shape.columns,
            shard=of("work", "shard"),
            plan=of("start", "file") + of("start", "footer") * shape.columns + of("end", "file"),
            end=of("end", "job"),
            commit=of("end", "shard"),
            crowd=of("start", "crowd"),
        )

    def predict(self, run: Run) -> Forecast:
        """What a job as `run` takes. Its shards and tasks are known before it runs: planning
        says them."""
        work = Work(run.shape.rows, run.shape.files, run.shards, run.tasks)
        return forecast(self.rates(run.shape), work, run.cluster)


def fit(runs: Sequence[Run]) -> Planner:
    """The planner that is nearest to `runs`: every part by itself, no term below zero, differences
    as shares of the whole run.

    Raises BenchError where the runs are too few, or too much alike, to tell the terms apart.
    """
    found = {part: _fitted(part, runs) for part in PARTS}
    return Planner(found, len(runs))


def _fitted(part: str, runs: Sequence[Run]) -> dict[str, float]:
    from scipy.optimize import nnls

    told = [_terms(run)[part] for run in runs]
    names = _different(told)
    amounts = np.array([[terms[name] for name in names] for terms in told], dtype=float)
    _check(part, names, amounts)
    walls = np.array([run.wall for run in runs])
    scale = amounts.max(axis=0)
    measured = np.array([getattr(run, part) for run in runs])
    seconds, _ = nnls(amounts / scale / walls[:, None], measured / walls)
    return dict(zip(names, seconds / scale, strict=True))


def _different(told: Sequence[Mapping[str, float]]) -> list[str]:
    """The terms that occur, without those of which there is always as much as of another: on hadoop
    a task has one shard, so that loading and finishing it are one."""
    first: dict[tuple[float, ...], str] = {}
    for name in told[0] if told else ():
        amounts = tuple(terms[name] for terms in told)
        if any(amounts):
            first.setdefault(amounts, name)
    return list(first.values())


def _check(part: str, names: Sequence[str], amounts: np.ndarray) -> None:
    rank = np.linalg.matrix_rank(amounts / amounts.max(axis=0)) if amounts.size else 0
    if not names or rank < len(names):
        raise BenchError(
            f"{len(amounts)} runs are too few, or too much alike, to tell apart what {part} is "
            f"made of ({', '.join(names) or 'nothing was measured'}): measure all axes"
        )
