"""Which form a model should run in: measured on rows of the job itself.

A form is taken where it is clearly faster than the model as it is, and no row's outputs differ by
more than the tolerance. The measure of a difference is that of `difference`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import ModelError, MrmodelError
from mrmodel.formats import get_format
from mrmodel.formats.base import ReadOptions
from mrmodel.machine import cores
from mrmodel.models.forms import modules_of
from mrmodel.models.loading import load_predictor
from mrmodel.shards.plan import Source
from mrmodel.specs import ExecutionSpec, ModelSpec
from mrmodel.tasks.clock import PHASES, Clock
from mrmodel.tasks.forward import Forward, Success
from mrmodel.tasks.model import lay_out_weights, set_threads
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tasks.spec import TaskData
from mrmodel.tasks.windows import windows
from mrmodel.tensors.columns import take
from mrmodel.tensors.difference import difference

ROWS = 256
BATCH_ROWS = 32
SECONDS = 1.5  # of a pass over the sample, about
PASSES = 3  # the best counts: what else the machine does only makes one slower
CLEARLY = 1.1  # times as fast


@dataclass(frozen=True)
class Form:
    """How a model may run: see `ModelSpec`."""

    dtype: str = "float32"
    quantize: str | None = None

    def __str__(self) -> str:
        return self.quantize or self.dtype


AS_IT_IS = Form()
FORMS = {
    "cpu": (Form("bfloat16"), Form(quantize="int8")),
    "cuda": (Form("bfloat16"), Form("float16")),
}


@dataclass(frozen=True)
class Tried:
    """How a form did: times as fast as the model as it is, the largest difference of a row, and
    whether it may be taken. `failed` says why it could not run."""

    form: Form
    speed: float = 0.0
    difference: float = 0.0
    failed: str = ""

    def is_good(self, tolerance: float) -> bool:
        return not self.failed and self.speed >= CLEARLY and self.difference <= tolerance

    def __str__(self) -> str:
        if self.failed:
            return f"{self.form} fails ({self.failed})"
        return f"{self.form} is {self.speed:.2f} x as fast, differs by {self.difference:.2g}"


@dataclass(frozen=True)
class Choice:
    """The form that was taken, and what was measured, on how many rows."""

    form: Form
    tolerance: float
    rows: int
    tried: tuple[Tried, ...]

    def __str__(self) -> str:
        measured = "; ".join(map(str, self.tried))
        return (
            f"--dtype auto takes {self.form}, of {self.rows} rows with a tolerance of "
            f"{self.tolerance:g}: {measured}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As in run.json."""
        return {**asdict(self), "tried": [asdict(one) for one in self.tried]}


def threads_of(execution: ExecutionSpec) -> int:
    """Torch threads of a task, as it will take them."""
    usual = {"local": 1, "hadoop": execution.vcores}
    return execution.threads or usual.get(execution.runner) or cores()


def choose(
    spec: ModelSpec, data: TaskData, sources: Iterable[Source], execution: ExecutionSpec
) -> Choice:
    """Measure the model that `spec` names in each form that its device has, on rows of `sources`.

    Raises ModelError where the model cannot run as it is.
    """
    set_threads(threads_of(execution))
    inputs = data.columns
    rows = sample(data, sources, inputs)
    plain = _Candidate(_load_in(AS_IT_IS, spec, inputs), inputs)
    if rows is None:
        return Choice(AS_IT_IS, spec.tolerance, 0, ())
    rows = _affordable(plain, rows)
    tried = tuple(_try(spec, form, plain, rows, inputs) for form in FORMS[plain.device])
    good = [one for one in tried if one.is_good(spec.tolerance)]
    form = max(good, key=lambda one: one.speed).form if good else AS_IT_IS
    return Choice(form, spec.tolerance, rows.num_rows, tried)


def sample(data: TaskData, sources: Iterable[Source], inputs: list[str]) -> pa.RecordBatch | None:
    """Up to ROWS good rows of the first file that begins with some; None where none does."""
    options = ReadOptions(schema=data.arrow_schema, image_size=data.image_size)
    read = get_format(data.format).read
    for source in sources:
        window = next(windows(read(source.piece(), options), inputs), None)
        if window is not None and len(window):
            return window.batch.slice(0, ROWS)
    return None


def by_size(predictor: Any, forward: Forward, rows: pa.RecordBatch) -> tuple[np.ndarray, Any]:
    """(`rows` by number, those of like size together; `rows` prepared, in their own order). Without
    a size, or where a row cannot be prepared, nothing is prepared here."""
    as_they_are = np.arange(rows.num_rows), None
    size = getattr(predictor, "size", None)
    if size is None:
        return as_they_are
    try:
        prepared = forward.prepare(rows)
        return np.argsort(-np.asarray(size(prepared), dtype=float), kind="stable"), prepared
    except MrmodelError:
        raise
    except Exception:  # noqa: BLE001 the forward pass finds the rows that cause it
        return as_they_are


class _Candidate:
    """A model in one form. `outputs` are those of the last pass, by row; `seconds` the least that
    the forward passes of a pass over the rows took."""

    def __init__(self, predictor: Any, inputs: list[str]):
        self.device = _kind(predictor)
        self.seconds = float("inf")
        self.outputs: dict[int, pa.RecordBatch] = {}
        self._predictor = predictor
        self._clock = Clock(PHASES)
        sizer = BatchSizer(getattr(predictor, "batch_size", None) or BATCH_ROWS)
        self._rows = sizer.rows
        self._forward = Forward(predictor, inputs, sizer, self._clock, lambda rows, seconds: None)

    def run(self, rows: pa.RecordBatch) -> None:
        """One pass, rows of like size together."""
        before, results = self._clock.seconds["forward"], []
        order, prepared = by_size(self._predictor, self._forward, rows)
        for begin in range(0, len(order), self._rows):
            indices = order[begin : begin + self._rows]
            ready = None if prepared is None else take(prepared, indices)
            results += self._forward.run(rows, indices, ready, None)
        self.seconds = min(self.seconds, self._clock.seconds["forward"] - before)
        self.outputs = {
            int(index): result.outputs.slice(at, 1)
            for result in results
            if isinstance(result, Success)
            for at, index in enumerate(result.indices)
        }


def load(spec: ModelSpec, inputs: list[str]) -> Any:
    """The predictor that `spec` names, ready, in this process. Raises as `load_predictor`."""
    return load_predictor(
        spec.ref,
        model_args=spec.args,
        weights=spec.weights,
        device=spec.device,
        dtype=spec.dtype,
        quantize=spec.quantize,
        inputs=inputs,
    )


def _load_in(form: Form, spec: ModelSpec, inputs: list[str]) -> Any:
    predictor = load(replace(spec, dtype=form.dtype, quantize=form.quantize), inputs)
    lay_out_weights(predictor)  # as tasks do
    return predictor


def _kind(predictor: Any) -> str:
    """``cuda`` where the modules of `predictor` are there."""
    devices = {p.device.type for module in modules_of(predictor) for p in module.parameters()}
    return "cuda" if "cuda" in devices else "cpu"


def _affordable(plain: _Candidate, rows: pa.RecordBatch) -> pa.RecordBatch:
    """As many of `rows` as take about SECONDS."""
    first = rows.slice(0, BATCH_ROWS)
    for _ in range(2):  # the first pass warms up
        plain.run(first)
    each = plain.seconds / first.num_rows
    plain.seconds = float("inf")
    return rows.slice(0, max(BATCH_ROWS, min(rows.num_rows, int(SECONDS / max(each, 1e-9)))))


def _try(
    spec: ModelSpec, form: Form, plain: _Candidate, rows: pa.RecordBatch, inputs: list[str]
) -> Tried:
    """The two take turns, so that what else the machine does slows down both."""
    try:
        candidate = _Candidate(_load_in(form, spec, inputs), inputs)
        for _ in range(PASSES):
            plain.run(rows)
            candidate.run(rows)
    except MrmodelError as error:
        return Tried(form, failed=error.message)
    except Exception as error:  # noqa: BLE001 the user's code, in a form it may not know
        return Tried(form, failed=f"{type(error).__name__}: {error}")
    if not plain.outputs:
        raise ModelError("--dtype auto: the model fails on every row of the sample")
    lost = plain.outputs.keys() - candidate.outputs.keys()
    if lost:
        return Tried(form, failed=f"on {len(lost)} of {rows.num_rows} rows")
    pairs = ((plain.outputs[index], candidate.outputs[index]) for index in sorted(plain.outputs))
    far = max(difference(*pair) for pair in pairs)
    return Tried(form, plain.seconds / max(candidate.seconds, 1e-9), far)
