"""``mrmodel predict``."""

from __future__ import annotations

from typing import Any

import click

from mrmodel.cli.options import (
    CONTEXT,
    Columns,
    ImageSize,
    JsonObject,
    Pair,
    set_up_logging,
)

RUNNERS = click.Choice(["inline", "local", "hadoop", "emr"])
FORMATS = click.Choice(["auto", "parquet", "jsonl", "csv", "text", "images"])
DTYPES = click.Choice(["float32", "float64", "bfloat16", "float16"])


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.argument("inputs_", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="Folder for the predictions.")
@click.option(
    "-r",
    "--runner",
    type=RUNNERS,
    default="inline",
    show_default=True,
    help="Where tasks run: in this process, in one process per core, or on YARN.",
)
@click.option(
    "--weights", metavar="URI", help="safetensors file or folder, or a .pt/.pth state dict."
)
@click.option(
    "--model-args", type=JsonObject(), default="{}", help="Arguments for the model's constructor."
)
@click.option(
    "--py-files",
    multiple=True,
    metavar="PATH",
    help="Python code the model imports: a file, package folder or zip; repeatable.",
)
@click.option("--inputs", type=Columns(), help="Columns that the model reads.")
@click.option(
    "--keep",
    type=Columns(),
    help="Columns joined to the output.  [default: all but the model's inputs]",
)
@click.option(
    "--format",
    "input_format",
    type=FORMATS,
    default="auto",
    show_default=True,
    help="Format of the input; auto goes by the files' names.",
)
@click.option(
    "--type",
    "types",
    type=Pair(),
    multiple=True,
    metavar="COL=TYPE",
    help="Type of a CSV or JSONL column (int64, float64, string, ...); repeatable.",
)
@click.option("--image-size", type=ImageSize(), help="Resize images to this many pixels.")
@click.option(
    "--output-format", type=click.Choice(["parquet", "jsonl"]), default="parquet", show_default=True
)
@click.option(
    "--batch-size",
    default="auto",
    show_default=True,
    metavar="auto|N",
    help="Rows per forward pass; auto measures what is fast.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option("--dtype", type=DTYPES, default="float32", show_default=True)
@click.option(
    "--max-bad",
    default="0",
    show_default=True,
    metavar="N|P%",
    help="Bad rows allowed; with more the job finishes and exits with 3.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT once the new one is complete.")
@click.option("--resume", is_flag=True, help="Keep finished shards of an earlier run.")
@click.option("--shard-size", default="128MB", show_default=True, help="Bytes of input per task.")
@click.option("--workers", type=click.IntRange(1), help="Processes of -r local.  [default: cores]")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="torch threads per task.  [default: all cores inline, 1 on local, the "
    "container's vcores on hadoop]",
)
@click.option(
    "--memory", metavar="SIZE", help="Memory of a container.  [default: estimated from the model]"
)
@click.option(
    "--vcores", type=click.IntRange(1), default=1, show_default=True, help="Cores of a container."
)
@click.option(
    "--python", metavar="PATH", help="Python interpreter on the nodes.  [default: this one]"
)
@click.option(
    "--env",
    metavar="ARCHIVE",
    help="Python environment for the nodes: a relocatable one (conda-pack, venv-pack), as .tar.gz "
    "or .zip, local or on hdfs://.",
)
@click.option(
    "--batch-timeout",
    type=click.FloatRange(0, min_open=True),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="A task in which nothing moves for so long is hung, and is ended.",
)
@click.option(
    "--jobconf",
    type=Pair(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Hadoop property of the job; repeatable.",
)
@click.option(
    "--conf-path",
    "conf_paths",
    multiple=True,
    metavar="PATH",
    help="mrjob configuration file; repeatable.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("-v", "--verbose", count=True, help="Tell what happens inside; -vv tells more.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
def predict(**options: Any) -> None:
    """Run MODEL over INPUT... and write its predictions to OUTPUT.

    MODEL is path/to/file.py:Name or package.module:Name (a mrmodel.Predictor, a torch module or
    a Lightning class), or a torch.export file .pt2. INPUT is files, folders, globs or Hive-style
    partitions, local or on hdfs://.

    \b
    Examples:
      mrmodel predict model.py:Net data.parquet -o out --inputs x,y --weights net.safetensors
      mrmodel predict embed.py:Embed 'logs/*.jsonl.gz' -o out -r local --max-bad 1%
      mrmodel predict model.pt2 hdfs:///data/dt=2026-01-01 -o hdfs:///out -r hadoop --inputs x

    OUTPUT holds part files, dead letters in _bad/, _mrmodel/run.json and, once everything is
    complete and checked, _SUCCESS.
    """
    set_up_logging(options["verbose"], options["quiet"])
    job = job_of(options)
    _run(job, options["quiet"], options["as_json"])


def job_of(options: dict[str, Any]) -> Any:
    """The Job that the command line's `options` describe."""
    from mrmodel.driver.predict import Job
    from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec

    model = ModelSpec(
        options["model"], options["model_args"], options["weights"], tuple(options["py_files"]),
        options["device"], options["dtype"],
    )  # fmt: skip
    data = DataSpec(
        tuple(options["inputs_"]), options["input_format"], options["inputs"], options["keep"],
        dict(options["types"]), options["image_size"],
    )  # fmt: skip
    output = OutputSpec(
        options["output"], options["output_format"], options["max_bad"], options["overwrite"],
        options["resume"],
    )  # fmt: skip
    names = ("runner", "batch_size", "shard_size", "workers", "threads", "vcores", "memory",
             "python", "env", "batch_timeout")  # fmt: skip
    execution = ExecutionSpec(
        **{name: options[name] for name in names},
        jobconf=dict(options["jobconf"]),
        mrjob_args=tuple(a for path in options["conf_paths"] for a in ("--conf-path", path)),
    )
    return Job(model, data, output, execution)


def _run(job: Any, quiet: bool, as_json: bool) -> None:
    from mrmodel.driver.predict import Watcher, predict
    from mrmodel.driver.progress import ProgressWatcher
    from mrmodel.errors import TooManyBadRowsError
    from mrmodel.tasks.stdio import stdout_to_stderr

    try:
        with stdout_to_stderr():
            run = predict(job, Watcher() if quiet else ProgressWatcher())
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
