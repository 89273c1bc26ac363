"""``mrmodel predict``."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from mrmodel.cli.job_options import (
    execution_options,
    form_options,
    input_options,
    model_options,
    outcome_options,
    prepare_option,
    telling_options,
)
from mrmodel.cli.options import CONTEXT, Columns, set_up_logging
from mrmodel.errors import UsageError
from mrmodel.imports import quick_imports
from mrmodel.models.reference import is_model, split_weights


@click.command(context_settings=CONTEXT)
@click.argument("model", metavar="MODEL", required=False)
@click.argument("inputs_", metavar="INPUT...", nargs=-1)
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="Folder for the predictions.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL[=WEIGHTS]",
    help="Instead of the first word; several are an ensemble, see --aggregate.",
)
@model_options
@form_options
@input_options
@click.option(
    "--keep",
    type=Columns(),
    help="Columns joined to the output.  [default: all but the model's inputs]",
)
@click.option(
    "--output-format", type=click.Choice(["parquet", "jsonl"]), default="parquet", show_default=True
)
@click.option(
    "--group-by", metavar="COLUMN", help="Make one row of all rows with one value of COLUMN."
)
@click.option(
    "--aggregate",
    metavar="HOW",
    help="How one row is made of those of a group, or of the predictions of several --model: mean, "
    "max, vote, concat, or topk:K[:COLUMN] (the K with the greatest values).",
)
@click.option(
    "--reducers", type=click.IntRange(1), default=1, show_default=True, help="Of --group-by."
)
@outcome_options
@execution_options
@prepare_option
@telling_options
@click.pass_context
def predict(context: click.Context, **options: Any) -> None:
    """Run MODEL over INPUT... and write its predictions to OUTPUT.

    MODEL is path/to/file.py:Name or package.module:Name (a mrmodel.Predictor, a torch module or
    a Lightning class), or a torch.export file .pt2. INPUT is files, folders, globs or Hive-style
    partitions, local or on hdfs://.

    \b
    Examples:
      mrmodel predict model.py:Net data.parquet -o out --inputs x,y --weights net.safetensors
      mrmodel predict embed.py:Embed 'logs/*.jsonl.gz' -o out -r local --max-bad 1%
      mrmodel predict tag.py:Tag windows/ -o docs --group-by document --aggregate mean
      mrmodel predict model.pt2 hdfs:///data/dt=2026-01-01 -o hdfs:///out -r hadoop --inputs x
      mrmodel predict --model net.py:Net=a.safetensors --model net.py:Net=b.safetensors \\
          --model tree.py:Tree data/ -o out --aggregate mean

    OUTPUT holds part files, dead letters in _bad/, _mrmodel/run.json and, once everything is
    complete and checked, _SUCCESS. With --group-by it has a row per group (windows of a document,
    frames of a video): the group, the outputs as --aggregate makes them of those of its rows, in
    input order, the number of its `rows`, and what --keep names of its first row.

    With --model every model is named that way, with its own weights after the =, and all words are
    INPUT. Each row is read once, and --aggregate makes one prediction of those of all models: of
    topk a list of the K best, of concat a list of all in the order of the models. --group-by takes
    those of all models for all rows of a group together.
    """
    set_up_logging(options["verbose"], options["quiet"])
    job = job_of(with_models(context, options))
    _run(job, options["quiet"], options["as_json"])


def with_models(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """`options` with (MODEL, weights) pairs as `models`; without --model the only one is MODEL.

    Raises UsageError, or click's own for a word that is missing, where it cannot be told which
    word is a model and which is input.
    """
    if not options["models"]:
        return {**_complete(context, options), "models": [(options["model"], options["weights"])]}
    return {
        **_complete(context, {**options, **_all_input(context, options)}),
        "models": [split_weights(text) for text in options["models"]],
    }


def _all_input(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """What the words mean where models are named by --model: all are INPUT."""
    model, inputs, several = options["model"], options["inputs_"], options["models"]
    if options["weights"] is not None:
        raise UsageError(
            f"--weights {options['weights']} and --model: expected the weights of each model after "
            f"its name, as in --model {split_weights(several[0])[0]}={options['weights']}"
        )
    typed = ParameterSource.COMMANDLINE
    if context.get_parameter_source("model") is not typed:  # a job file's, which gives way
        return {"model": several[0]}
    if is_model(model):
        raise UsageError(
            f"{model} is a MODEL and --model names others: with --model name all models that way, "
            f"as in --model {model} --model {several[0]}"
        )
    more = inputs if context.get_parameter_source("inputs_") is typed else ()
    return {"model": several[0], "inputs_": (model, *more)}


def _complete(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    for parameter in context.command.params:
        if parameter.name in ("model", "inputs_") and not options[parameter.name]:
            raise click.MissingParameter(ctx=context, param=parameter)
    return options


def job_of(options: dict[str, Any]) -> Any:
    """The Job that `options`, of `with_models`, describe."""
    with quick_imports():
        from mrmodel.cli.job_specs import specs_of
        from mrmodel.driver.aggregate import aggregation_job
        from mrmodel.driver.predict import Job

    specs = [specs_of({**options, "model": m, "weights": w}) for m, w in options["models"]]
    job = Job(*specs[0], others=tuple(model for model, *_ in specs[1:]))
    return aggregation_job(job, options["group_by"], options["aggregate"], options["reducers"])


def _run(job: Any, quiet: bool, as_json: bool) -> None:
    with quick_imports():
        from mrmodel.driver.aggregate import predict_groups
        from mrmodel.driver.predict import Watcher, predict
        from mrmodel.driver.progress import ProgressWatcher
        from mrmodel.errors import TooManyBadRowsError
        from mrmodel.tasks.stdio import stdout_to_stderr

    try:
        with stdout_to_stderr():
            run_job = predict_groups if job.grouping else predict
            run = run_job(job, Watcher() if quiet else ProgressWatcher())
    except TooManyBadRowsError as error:
        _tell(error.run, quiet, as_json)
        raise
    _tell(run, quiet, as_json)


def _tell(run: Any, quiet: bool, as_json: bool) -> None:
    import json

    from mrmodel.driver import summary

    if as_json:
        told = {name: value for name, value in run.to_dict().items() if name != "shards"}
        click.echo(json.dumps(told, indent=2))
    elif not quiet:
        click.echo("\n".join(summary.lines(run)))
