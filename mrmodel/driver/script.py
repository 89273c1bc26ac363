"""``python jobs/mr_predict.py``: the same jobs, started from mrjob scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console

from mrmodel.driver import measures, summary
from mrmodel.driver.evaluate import evaluate, evaluation_job
from mrmodel.driver.predict import Job, predict
from mrmodel.driver.progress import ProgressWatcher
from mrmodel.errors import MrmodelError, UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec
from mrmodel.units import parse_columns

# what these scripts' own options are to mrjob's parser; all others go to the runner as they are
_OURS = {
    "--model", "--weights", "--inputs", "--keep", "--batch-size", "--shard-size", "--max-bad",
    "--output-format", "--label-column", "--prediction", "--metric", "--group-by", "--resamples",
}  # fmt: skip
_OUR_FLAGS = {"--overwrite", "--resume"}
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
    return Job(*_specs(script, "--output-dir OUTPUT", "mr_predict.py"), job_class=type(script))


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
    )
    return replace(job, job_class=type(script))


def _incomplete(needed: str, name: str) -> UsageError:
    return UsageError(
        f"expected --model MODEL, INPUT... and {needed}; for example: {_EXAMPLES[name]}"
    )


_EXAMPLES = {
    "mr_predict.py": "mr_predict.py -r local --model model.py:Net data.parquet --output-dir out",
    "mr_evaluate.py": "mr_evaluate.py -r local --model model.py:Net data.parquet "
    "--label-column y --metric mean_squared_error",
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
        DataSpec(
            tuple(options.args),
            inputs=parse_columns(options.inputs or script.INPUTS),
            keep=parse_columns(options.keep or script.KEEP),
        ),
        OutputSpec(
            options.output_dir or "",
            options.output_format,
            options.max_bad,
            options.overwrite,
            options.resume,
        ),
        ExecutionSpec(
            runner=options.runner or "inline",
            batch_size=options.batch_size,
            shard_size=options.shard_size,
            mrjob_args=tuple(mrjob_args(sys.argv[1:], options.args)),
        ),
    )


def mrjob_args(argv: list[str], inputs: list[str]) -> list[str]:
    """What of `argv` is for mrjob's runner: not ours, not the inputs."""
    kept: list[str] = []
    left = list(inputs)
    words = iter(argv)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _OURS | _REPLACED:
            if not equals:
                next(words, None)
        elif name in _OUR_FLAGS:
            continue
        elif word in left:
            left.remove(word)
        else:
            kept.append(word)
    return kept
