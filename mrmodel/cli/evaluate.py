"""``mrmodel evaluate``."""

from __future__ import annotations

from typing import Any

import click

from mrmodel.cli.job_options import (
    execution_options,
    form_options,
    input_options,
    model_options,
    outcome_options,
    prepare_option,
    telling_options,
)
from mrmodel.cli.options import CONTEXT, set_up_logging
from mrmodel.imports import quick_imports


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.argument("inputs_", metavar="INPUT...", nargs=-1, required=True)
@click.option("--label", required=True, metavar="COLUMN", help="The column with the right answers.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    required=True,
    metavar="NAME[:K=V,...]",
    help="A metric of torchmetrics with its arguments, or file.py:Name; repeatable.",
)
@click.option(
    "--prediction",
    metavar="COLUMN",
    help="The model's output column to score.  [default: its only one]",
)
@click.option("--group-by", metavar="COLUMN", help="Measure each of this column's values, too.")
@click.option(
    "--indexes", metavar="COLUMN", help="The column with the query of each row (retrieval metrics)."
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="95% intervals from this many resamples.",
)
@click.option(
    "--resample",
    type=click.Choice(["rows", "shards"]),
    default="rows",
    show_default=True,
    help="What --bootstrap draws; shards: rows of one shard together, where they are alike.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --bootstrap."
)
@click.option(
    "--reducers", type=click.IntRange(1), default=1, show_default=True, help="Reduce tasks."
)
@click.option("-o", "--output", metavar="OUTPUT", help="Folder for the measures, as Parquet.")
@model_options
@form_options
@input_options
@outcome_options
@execution_options
@prepare_option
@telling_options
def evaluate(**options: Any) -> None:
    """Measure MODEL on the rows of INPUT... against the column --label.

    Metrics are those of torchmetrics, by the names of their classes (MeanSquaredError) or as words
    (mean_squared_error); their arguments follow a colon. A file.py:Name is a class of your own
    that is a torchmetrics.Metric, or a function of (predictions, labels) that returns a number per
    row, of which the mean is taken. The measures are those of all rows in one process, whatever
    the number of tasks.

    \b
    Examples:
      mrmodel evaluate model.py:Net test.parquet --label y --metric mean_squared_error --inputs a,b
      mrmodel evaluate digits.py:Digits data/ --label label --prediction digit --metric accuracy \\
          --metric f1_score:task=multiclass,num_classes=10,average=macro --bootstrap 200
      mrmodel evaluate model.py:Net hdfs:///data -r hadoop --label y --metric auroc:task=binary \\
          --group-by country --reducers 4 -o hdfs:///measures

    --json prints {"metrics": {NAME: value}, "rows": {...}}, with "groups" and "intervals" where
    they were asked for.
    """
    set_up_logging(options["verbose"], options["quiet"])
    _run(options)


def job_of(options: dict[str, Any]) -> Any:
    """The Job that the command line's `options` describe."""
    from mrmodel.cli.job_specs import specs_of
    from mrmodel.driver.evaluate import evaluation_job

    return evaluation_job(
        *specs_of(options),
        list(options["metrics"]),
        options["reducers"],
        label=options["label"],
        prediction=options["prediction"],
        group_by=options["group_by"],
        indexes=options["indexes"],
        resamples=options["bootstrap"],
        resample=options["resample"],
        seed=options["seed"],
    )


def _run(options: dict[str, Any]) -> None:
    with quick_imports():
        from mrmodel.driver.evaluate import evaluate as run_evaluate
        from mrmodel.driver.predict import Watcher
        from mrmodel.driver.progress import ProgressWatcher
        from mrmodel.errors import TooManyBadRowsError
        from mrmodel.tasks.stdio import stdout_to_stderr

    quiet = options["quiet"]
    try:
        with stdout_to_stderr():
            run = run_evaluate(job_of(options), Watcher() if quiet else ProgressWatcher())
    except TooManyBadRowsError as error:
        _tell(error.run, options)
        raise
    _tell(run, options)


def _tell(run: Any, options: dict[str, Any]) -> None:
    import json

    from mrmodel.driver import measures

    if options["as_json"]:
        click.echo(json.dumps(measures.as_json(run), indent=2))
        return
    for line in measures.table(run.measures):
        click.echo(line)
    if not options["quiet"]:
        for line in measures.summary(run, options["output"]):
            click.echo(line)
