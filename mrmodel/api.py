"""The same jobs from Python: ``mrmodel.predict``, ``mrmodel.evaluate``, ``mrmodel.train``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrmodel.driver.aggregate import aggregation_job, predict_groups
from mrmodel.driver.evaluate import evaluate as run_evaluate
from mrmodel.driver.evaluate import evaluation_job
from mrmodel.driver.predict import Job, Watcher
from mrmodel.driver.predict import predict as run_predict
from mrmodel.driver.progress import ProgressWatcher
from mrmodel.driver.run import Run
from mrmodel.driver.train import TrainJob, TrainRun
from mrmodel.driver.train import train as run_train
from mrmodel.errors import UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec

PathLike = str | os.PathLike

# in which form the model runs
_FORM = ("quantize", "tolerance", "compile")


def predict(
    model: str | type | Sequence[str | type],
    data: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    runner: str = "inline",
    weights: PathLike | Sequence[PathLike | None] | None = None,
    model_args: Mapping[str, Any] | None = None,
    py_files: Sequence[PathLike] = (),
    inputs: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    format: str = "auto",
    types: Mapping[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    output_format: str = "parquet",
    batch_size: str | int = "auto",
    device: str = "auto",
    dtype: str = "float32",
    max_bad: str | int = 0,
    overwrite: bool = False,
    resume: bool = False,
    group_by: str | None = None,
    aggregate: str | None = None,
    reducers: int = 1,
    progress: bool = False,
    **execution: Any,
) -> Run:
    """Run `model` over `data` and write its predictions to the folder `output`.

    `model` is what the command line takes (``file.py:Name``, ``package.module:Name``, a ``.pt2``
    file), or a class that lives in a file. `data` is a path, glob or URI, or several. The other
    arguments are the options of ``mrmodel predict``; `execution` are those of `ExecutionSpec`
    (``shard_size``, ``workers``, ``memory``, …), ``quantize``, ``tolerance`` and ``compile``.

    With `group_by` (a column) and `aggregate` (``mean``, ``max``, ``vote``, ``concat``,
    ``topk:K[:COLUMN]``) the output has a row per group instead, which `reducers` tasks make.

    Where `model` is a list, all its models predict each row, and `aggregate` makes one prediction
    of theirs (with `group_by`, one of all rows of a group); `weights` is a list of as many.

    Returns the run: ``run.rows``, ``run.seconds``, ``run.output``, … as in run.json. Raises
    MrmodelError as the command line would exit: TooManyBadRowsError where it exits with 3.

    Example::

        run = mrmodel.predict("model.py:Net", "data/*.parquet", "out", inputs=["x", "y"])
        print(run.rows["ok"], run.output)
    """
    pairs = _pairs(model, weights)
    specs = [_model_spec(m, model_args, w, py_files, device, dtype, execution) for m, w in pairs]
    job = Job(
        specs[0],
        DataSpec(_texts(data), format, _names(inputs), _names(keep), dict(types or {}), image_size),
        OutputSpec(os.fspath(output), output_format, str(max_bad), overwrite, resume),
        _execution({"runner": runner, "batch_size": str(batch_size), **execution}),
        others=tuple(specs[1:]),
    )
    job = aggregation_job(job, group_by, aggregate, reducers)
    run_job = predict_groups if job.grouping else run_predict
    return run_job(job, ProgressWatcher() if progress else Watcher())


def evaluate(
    model: str | type,
    data: PathLike | Sequence[PathLike],
    *,
    label: str,
    metrics: str | Sequence[str],
    output: PathLike | None = None,
    prediction: str | None = None,
    group_by: str | None = None,
    indexes: str | None = None,
    bootstrap: int = 0,
    resample: str = "rows",
    seed: int = 0,
    reducers: int = 1,
    runner: str = "inline",
    weights: PathLike | None = None,
    model_args: Mapping[str, Any] | None = None,
    py_files: Sequence[PathLike] = (),
    inputs: Sequence[str] | None = None,
    format: str = "auto",
    types: Mapping[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    batch_size: str | int = "auto",
    device: str = "auto",
    dtype: str = "float32",
    max_bad: str | int = 0,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    **execution: Any,
) -> Run:
    """Measure `model` on `data` against the column `label`, as ``mrmodel evaluate`` does.

    `metrics` are written as on the command line: ``"accuracy:task=multiclass,num_classes=10"``.
    Without `output` nothing is written. The other arguments are the command's options.

    Returns the run; ``run.metrics`` is metric → value over all rows, ``run.measures`` has the
    groups and the intervals, too. Raises as `predict` does.

    Example::

        run = mrmodel.evaluate("model.py:Net", "test.parquet", label="y", metrics="auroc")
        print(run.metrics["auroc"])
    """
    job = evaluation_job(
        _model_spec(model, model_args, weights, py_files, device, dtype, execution),
        DataSpec(_texts(data), format, _names(inputs), None, dict(types or {}), image_size),
        OutputSpec(_text(output) or "", "parquet", str(max_bad), overwrite, resume),
        _execution({"runner": runner, "batch_size": str(batch_size), **execution}),
        [metrics] if isinstance(metrics, str) else list(metrics),
        reducers,
        label=label,
        prediction=prediction,
        group_by=group_by,
        indexes=indexes,
        resamples=bootstrap,
        resample=resample,
        seed=seed,
    )
    return run_evaluate(job, ProgressWatcher() if progress else Watcher())


def train(
    model: str | type,
    data: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    runner: str = "inline",
    weights: PathLike | None = None,
    model_args: Mapping[str, Any] | None = None,
    py_files: Sequence[PathLike] = (),
    inputs: Sequence[str] | None = None,
    format: str = "auto",
    types: Mapping[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    device: str = "auto",
    dtype: str = "float32",
    validation: PathLike | Sequence[PathLike] = (),
    max_bad: str | int = 0,
    overwrite: bool = False,
    resume: bool = False,
    reducers: int = 1,
    progress: bool = False,
    **options: Any,
) -> TrainRun:
    """Train `model` on `data` and write a checkpoint per round into the folder `output`, as
    ``mrmodel train`` does.

    `options` are those of `TrainSpec` (``rounds``, ``label``, ``loss``, ``optimizer``, ``lr``,
    ``batch_size``, …) and of `ExecutionSpec`.

    Returns what was done: ``run.loss``, ``run.history`` (the lines of metrics.jsonl), … Raises
    MrmodelError as the command line would exit.

    Example::

        run = mrmodel.train("net.py:Net", "data/", "checkpoints", inputs=["a", "b"], label="y",
                            loss="mse", lr=0.1, rounds=20)
    """
    learning = {n: v for n, v in options.items() if n in TrainSpec.__dataclass_fields__}
    execution = {n: v for n, v in options.items() if n not in learning}
    job = TrainJob(
        _model_spec(model, model_args, weights, py_files, device, dtype),
        DataSpec(_texts(data), format, _names(inputs), None, dict(types or {}), image_size),
        OutputSpec(os.fspath(output), "parquet", str(max_bad), overwrite, resume),
        ExecutionSpec.from_dict({"runner": runner, **execution}),
        TrainSpec(**learning, validation=_texts(validation)),
        reducers,
    )
    return run_train(job, ProgressWatcher() if progress else Watcher())


def _pairs(
    model: str | type | Sequence[str | type],
    weights: PathLike | Sequence[PathLike | None] | None,
) -> list[tuple[str | type, PathLike | None]]:
    """Each model with its weights."""
    if isinstance(model, str | os.PathLike | type) or callable(model):
        return [(model, weights)]
    models = list(model)
    each = [None] * len(models) if weights is None else weights
    if not models or isinstance(each, str | os.PathLike) or len(each) != len(models):
        raise UsageError(
            f"weights: expected a list with those of each of {len(models)} models, or None, but "
            f"received {weights!r}"
        )
    return list(zip(models, each, strict=True))


def _model_spec(
    model: str | type,
    args: Mapping[str, Any] | None,
    weights: PathLike | None,
    py_files: Sequence[PathLike],
    device: str,
    dtype: str,
    options: Mapping[str, Any] | None = None,
) -> ModelSpec:
    files = tuple(map(os.fspath, py_files))
    form = {name: value for name, value in (options or {}).items() if name in _FORM}
    return ModelSpec(
        _reference(model), dict(args or {}), _text(weights), files, device, dtype, **form
    )


def _execution(options: Mapping[str, Any]) -> ExecutionSpec:
    return ExecutionSpec.from_dict({n: v for n, v in options.items() if n not in _FORM})


def _reference(model: str | type) -> str:
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    try:
        path = Path(inspect.getfile(model))
    except (TypeError, OSError):
        path = None
    if path is None or path.suffix != ".py" or "." in model.__qualname__:
        raise UsageError(
            f"model: expected file.py:Name, or a class at the top level of a file, but received "
            f"{model!r}: tasks must be able to import it"
        )
    return f"{path}:{model.__name__}"


def _texts(data: PathLike | Sequence[PathLike]) -> tuple[str, ...]:
    several = [data] if isinstance(data, str | os.PathLike) else data
    return tuple(os.fspath(one) for one in several)


def _text(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _names(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(columns, str):
        raise UsageError(f"expected a list of column names but received the text {columns!r}")
    return None if columns is None else tuple(columns)
