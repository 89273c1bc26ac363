"""``python jobs/mr_predict.py``: the same jobs, started from mrjob scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console

from mrmodel.driver import measures, summary, train_summary
from mrmodel.driver.evaluate import evaluate, evaluation_job
from mrmodel.driver.predict import Job, predict
from mrmodel.driver.progress import ProgressWatcher
from mrmodel.driver.train import TrainJob, train
from mrmodel.errors import MrmodelError, UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec
from mrmodel.units import parse_batch_rows, parse_columns

# what these scripts' own options are to mrjob's parser, and whether a value follows; all others go
# to the runner as they are
_OURS = {
    "--model", "--weights", "--inputs", "--keep", "--batch-size", "--shard-size", "--max-bad",
    "--output-format", "--label-column", "--prediction", "--metric", "--group-by", "--resamples",
    "--resample",
}  # fmt: skip
_OWN = {**dict.fromkeys(_OURS, True), "--overwrite": False, "--resume": False}
_REPLACED = {"-r", "--runner", "-o", "--output-dir"}


def run_script(script: Any) -> None:
    """Run the job of the mrjob script `script` (an MRPredict). Ends the process on an error."""
    with _console() as console:
        run = predict(_predict_job(script), ProgressWatcher(console))
    print("\n".join(summary.lines(run)))


def run_evaluate_script(script: Any) -> None:
    """Run the job of the mrjob script `script` (an MREvaluate). Ends the process on an error."""
    with _console() as console:
        run = evaluate(_evaluate_job(script), ProgressWatcher(console))
    print("\n".join([*measures.table(run.measures), *summary.lines(run)]))


def run_train_script(script: Any) -> None:
    """Run the training of the mrjob script `script` (an MRTrain). Ends the process on an error."""
    with _console() as console:
        run = train(_train_job(script), ProgressWatcher(console))
    print("\n".join(train_summary.lines(run)))


@contextmanager
def _console() -> Iterator[Console]:
    """Where progress is shown, and an error that ends the process."""
    console = Console(stderr=True, highlight=False)
    try:
        yield console
    except MrmodelError as error:
        console.print(f"Error: {error.message}", soft_wrap=True, markup=False)
        if error.detail:
            console.print(error.detail, soft_wrap=True, markup=False)
        sys.exit(error.exit_code)


def _predict_job(script: Any) -> Job:
    if not script.options.output_dir:
        raise _incomplete("--output-dir OUTPUT", "mr_predict.py")
    model, data, output, execution = _specs(script, "--output-dir OUTPUT", "mr_predict.py")
    data = replace(data, keep=parse_columns(script.options.keep or script.KEEP))
    output = replace(output, format=script.options.output_format)
    return Job(model, data, output, execution, job_class=type(script))


def _evaluate_job(script: Any) -> Job:
    options = script.options
    label, metrics = options.label_column or script.LABEL, options.metric or list(script.METRICS)
    needed = "--label-column COLUMN, --metric NAME"
    if not label or not metrics:
        raise _incomplete(needed, "mr_evaluate.py")
    job = evaluation_job(
        *_specs(script, needed, "mr_evaluate.py"),
        metrics,
        1,
        label=label,
        prediction=options.prediction or script.PREDICTION,
        group_by=options.group_by,
        resamples=options.resamples,
        resample=options.resample,
    )
    return replace(job, job_class=type(script))


def _train_job(script: Any) -> TrainJob:
    needed = "--output-dir CHECKPOINTS"
    if not script.options.output_dir:
        raise _incomplete(needed, "mr_train.py")
    model, data, output, execution = _specs(script, needed, "mr_train.py")
    args = mrjob_args(sys.argv[1:], script.options.args, script.own_options())
    # the jobs of the rounds are not the script's, but what it says to Hadoop is for them
    execution = replace(
        execution,
        workers=script.setting("workers"),
        jobconf={name: str(value) for name, value in script.jobconf().items()},
        mrjob_args=tuple(args),
    )
    return TrainJob(model, data, output, execution, _learning(script))


def _learning(script: Any) -> TrainSpec:
    options = script.options
    usual = script.BATCH_SIZE or TrainSpec.batch_size
    return TrainSpec(
        **script.learning(),
        label=options.label_column or script.LABEL,
        batch_size=parse_batch_rows(options.batch_size, usual),
        validation=tuple(options.validation or script.VALIDATION),
    )


def _incomplete(needed: str, name: str) -> UsageError:
    return UsageError(
        f"expected --model MODEL, INPUT... and {needed}; for example: {_EXAMPLES[name]}"
    )


_EXAMPLES = {
    "mr_predict.py": "mr_predict.py -r local --model model.py:Net data.parquet --output-dir out",
    "mr_evaluate.py": "mr_evaluate.py -r local --model model.py:Net data.parquet "
    "--label-column y --metric mean_squared_error",
    "mr_train.py": "mr_train.py -r local --model net.py:Net --inputs a,b --label-column y "
    "--loss mse data.parquet --output-dir checkpoints",
}


def _specs(
    script: Any, needed: str, name: str
) -> tuple[ModelSpec, DataSpec, OutputSpec, ExecutionSpec]:
    options = script.options
    model = options.model or script.MODEL
    if not model or not options.args:
        raise _incomplete(needed, name)
    return (
        ModelSpec(model, weights=options.weights or script.WEIGHTS),
        DataSpec(tuple(options.args), inputs=parse_columns(options.inputs or script.INPUTS)),
        OutputSpec(
            options.output_dir or "",
            max_bad=options.max_bad,
            overwrite=options.overwrite,
            resume=options.resume,
        ),
        ExecutionSpec(
            runner=options.runner or "inline",
            batch_size=options.batch_size,
            shard_size=options.shard_size,
            mrjob_args=tuple(mrjob_args(sys.argv[1:], options.args)),
        ),
    )


def mrjob_args(argv: list[str], inputs: list[str], own: dict[str, bool] = _OWN) -> list[str]:
    """What of `argv` is for mrjob's runner: not the inputs, and not our `own` options (with
    whether a value follows)."""
    kept: list[str] = []
    left = list(inputs)
    words = iter(argv)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _REPLACED or name in own:
            if own.get(name, True) and not equals:
                next(words, None)
        elif word in left:
            left.remove(word)
        else:
            kept.append(word)
    return kept
