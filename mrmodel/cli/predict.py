"""``mrmodel predict``."""

from __future__ import annotations

from typing import Any

import click

from mrmodel.cli.job_options import (
    execution_options,
    input_options,
    model_options,
    outcome_options,
    telling_options,
)
from mrmodel.cli.options import CONTEXT, Columns, set_up_logging


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.argument("inputs_", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="Folder for the predictions.")
@model_options
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
    help="How: mean, max, vote, concat, or topk:K[:COLUMN] (the K rows with the greatest values).",
)
@click.option(
    "--reducers", type=click.IntRange(1), default=1, show_default=True, help="Of --group-by."
)
@outcome_options
@execution_options
@telling_options
def predict(**options: Any) -> None:
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

    OUTPUT holds part files, dead letters in _bad/, _mrmodel/run.json and, once everything is
    complete and checked, _SUCCESS. With --group-by it has a row per group (windows of a document,
    frames of a video): the group, the outputs as --aggregate makes them of those of its rows, in
    input order, the number of its `rows`, and what --keep names of its first row.
    """
    set_up_logging(options["verbose"], options["quiet"])
    job = job_of(options)
    _run(job, options["quiet"], options["as_json"])


def job_of(options: dict[str, Any]) -> Any:
    """The Job that the command line's `options` describe."""
    from mrmodel.cli.job_specs import specs_of
    from mrmodel.driver.predict import Job

    job = Job(*specs_of(options))
    grouped = options["group_by"], options["aggregate"]
    if any(grouped):
        from mrmodel.driver.aggregate import aggregation_job

        return aggregation_job(job, *grouped, options["reducers"])
    return job


def _run(job: Any, quiet: bool, as_json: bool) -> None:
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
