"""``python jobs/mr_predict.py``: the same job, started from an mrjob script."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from mrmodel.driver import summary
from mrmodel.driver.predict import Job, predict
from mrmodel.driver.progress import ProgressWatcher
from mrmodel.errors import MrmodelError, UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec
from mrmodel.units import parse_columns

# what this script's own options are to mrjob's parser; all others go to the runner as they are
_OURS = {
    "--model", "--weights", "--inputs", "--keep", "--batch-size", "--shard-size", "--max-bad",
    "--output-format",
}  # fmt: skip
_OUR_FLAGS = {"--overwrite", "--resume"}
_REPLACED = {"-r", "--runner", "-o", "--output-dir"}


def run_script(script: Any) -> None:
    """Run the job of the mrjob script `script` (an MRPredict). Ends the process on an error."""
    console = Console(stderr=True, highlight=False)
    try:
        run = predict(_job(script), ProgressWatcher(console))
    except MrmodelError as error:
        console.print(f"Error: {error.message}", soft_wrap=True, markup=False)
        if error.detail:
            console.print(error.detail, soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    print("\n".join(summary.lines(run)))


def _job(script: Any) -> Job:
    options = script.options
    model = options.model or script.MODEL
    if not model or not options.args or not options.output_dir:
        raise UsageError(
            "expected --model MODEL, INPUT... and --output-dir OUTPUT; for example: "
            "mr_predict.py -r local --model model.py:Net data.parquet --output-dir out"
        )
    return Job(
        ModelSpec(model, weights=options.weights or script.WEIGHTS),
        DataSpec(
            tuple(options.args),
            inputs=parse_columns(options.inputs or script.INPUTS),
            keep=parse_columns(options.keep or script.KEEP),
        ),
        OutputSpec(
            options.output_dir,
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
        job_class=type(script),
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
