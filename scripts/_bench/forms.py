"""How fast a model runs in each form that mrmodel has, and what that does to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pyarrow as pa

from mrmodel import storage

from . import agree
from .report import by_system, markdown, spread
from .systems import Measured, Setting, baseline_of, measure, measure_mrmodel

PLAIN = "float32"
FORMS: Mapping[str, tuple[str, ...]] = {
    PLAIN: (),
    "bfloat16": ("--dtype", "bfloat16"),
    "int8": ("--quantize", "int8"),
    "compile": ("--compile",),
    "compile-bfloat16": ("--compile", "--dtype", "bfloat16"),
    "auto": ("--dtype", "auto", "--tolerance", "0.02"),
}
COLUMNS = (
    "form", "wall s", "steady s", "rows/s steady", "ratio to float32, steady", "all costs",
    "peak memory MB", "largest difference of a row", "least cosine", "mean cosine",
)  # fmt: skip


@dataclass(frozen=True)
class Distance:
    """How far outputs are from the bare loop's: ||difference|| / ||row|| at most, and the cosine of
    the two, at least and in the mean. nan where a row has a single number."""

    largest: float
    cosine: float
    mean_cosine: float


def run(name: str, runner: str, setting: Setting) -> Measured:
    """The bare loop, or `runner` with the model in the form `name`. Raises CommandFailed."""
    if name == baseline_of(runner):
        return measure(name, setting)
    return measure_mrmodel(name, runner, setting, FORMS[name])


def taken(run: Measured) -> str:
    """What --dtype auto says that it took, and why; empty for other forms."""
    found = storage.read_json(storage.join(run.output, "_mrmodel", "run.json"))
    form = found["model"].get("form")
    if not form:
        return ""
    tried = [
        f"{one['form']['quantize'] or one['form']['dtype']}: "
        + (one["failed"] or f"{one['speed']:.2f} x, difference {one['difference']:.2g}")
        for one in form["tried"]
    ]
    took = form["form"]["quantize"] or form["form"]["dtype"]
    return f"auto took {took}, of {form['rows']} rows ({'; '.join(tried)})"


def distance(expected: pa.Table, found: pa.Table) -> Distance:
    """Of all rows, which are in the same order. Raises ValueError where ids or columns differ."""
    if expected.column_names != found.column_names or not expected["id"].equals(found["id"]):
        raise ValueError("these are not the same rows")
    one, other = (_rows(table) for table in (expected, found))
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    far = np.linalg.norm(one - other, axis=1) / np.maximum(lengths[0], 1e-12)
    if one.shape[1] == 1:
        return Distance(float(far.max()), float("nan"), float("nan"))
    cosine = (one * other).sum(axis=1) / np.maximum(lengths[0] * lengths[1], 1e-12)
    return Distance(float(far.max()), float(cosine.min()), float(cosine.mean()))


def _rows(table: pa.Table) -> np.ndarray:
    """(rows, all numbers of a row)"""
    names = [name for name in table.column_names if name != "id"]
    columns = [agree.numbers(table, name).reshape(table.num_rows, -1) for name in names]
    return np.concatenate(columns, axis=1).astype(np.float64)


def table(runs: Sequence[Measured], distances: Mapping[str, Distance]) -> str:
    """Medians per form; ratios are taken inside a repeat."""
    found = by_system(runs)
    rows = [_row(name, mine, found[PLAIN], distances) for name, mine in found.items()]
    return markdown([list(COLUMNS), *rows])


def ratios(runs: Sequence[Measured], plain: Sequence[Measured], figure: str) -> list[float]:
    """Speed in that of float32, repeat by repeat; `figure` is ``wall`` or ``steady``."""
    return [getattr(b, figure) / getattr(a, figure) for a, b in zip(runs, plain, strict=True)]


def _row(
    name: str,
    runs: Sequence[Measured],
    plain: Sequence[Measured],
    distances: Mapping[str, Distance],
) -> list[str]:
    far = distances.get(name)
    return [
        name,
        f"{median(run.wall for run in runs):.2f}",
        f"{median(run.steady for run in runs):.2f}",
        f"{median(run.rows / run.steady for run in runs):,.0f}",
        *(spread(ratios(runs, plain, figure)) for figure in ("steady", "wall")),
        f"{median(run.memory for run in runs) / 1e6:,.0f}",
        *(
            ("–", "–", "–")
            if far is None
            else (f"{far.largest:.1e}", f"{far.cosine:.6f}", f"{far.mean_cosine:.6f}")
        ),
    ]
