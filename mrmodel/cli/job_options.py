"""Options that commands which run jobs have in common, group by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mrmodel.cli.options import Columns, ImageSize, JsonObject, Pair

RUNNERS = click.Choice(["inline", "local", "hadoop", "emr"])
FORMATS = click.Choice(["auto", "parquet", "jsonl", "csv", "text", "images"])
DTYPES = click.Choice(["float32", "float64", "bfloat16", "float16"])

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """`options` as one decorator; --help shows them in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def saying(**texts: str) -> Decorator:
    """Of the options of a command, those whose help is another one there: name → text."""

    def decorate(command: click.Command) -> click.Command:
        for option in command.params:
            if option.name in texts:
                option.help = texts[option.name]
        return command

    return decorate


# How the model is made and where it runs.
model_options = together(
    click.option(
        "--weights", metavar="URI", help="safetensors file or folder, or a .pt/.pth state dict."
    ),
    click.option(
        "--model-args",
        type=JsonObject(),
        default="{}",
        help="Arguments for the model's constructor.",
    ),
    click.option(
        "--py-files",
        multiple=True,
        metavar="PATH",
        help="Python code the model imports: a file, package folder or zip; repeatable.",
    ),
    click.option("--inputs", type=Columns(), help="Columns that the model reads."),
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
    ),
)

# The dtype of a model that is trained.
dtype_option = click.option("--dtype", type=DTYPES, default="float32", show_default=True)

# In which form it runs, where it is not trained.
form_options = together(
    click.option(
        "--dtype",
        type=click.Choice([*DTYPES.choices, "auto"]),
        default="float32",
        show_default=True,
        help="auto: the fastest of several forms, measured on the first rows, within --tolerance.",
    ),
    click.option(
        "--tolerance",
        type=click.FloatRange(0, min_open=True),
        default=0.02,
        show_default=True,
        help="Of --dtype auto: how far a row's outputs may be off, as a share of their norm.",
    ),
    click.option(
        "--quantize",
        type=click.Choice(["int8"]),
        help="Round the weights and inputs of linear layers to 8-bit integers (CPU).",
    ),
    click.option(
        "--compile",
        is_flag=True,
        help="Make the model machine code once, before the job (needs a C++ compiler here).",
    ),
)

# How the input is read.
input_options = together(
    click.option(
        "--format",
        "input_format",
        type=FORMATS,
        default="auto",
        show_default=True,
        help="Format of the input; auto goes by the files' names.",
    ),
    click.option(
        "--type",
        "types",
        type=Pair(),
        multiple=True,
        metavar="COL=TYPE",
        help="Type of a CSV or JSONL column (int64, float64, string, ...); repeatable.",
    ),
    click.option("--image-size", type=ImageSize(), help="Resize images to this many pixels."),
)

# What becomes of bad rows, and of an OUTPUT that exists.
outcome_options = together(
    click.option(
        "--max-bad",
        default="0",
        show_default=True,
        metavar="N|P%",
        help="Bad rows allowed; with more the job finishes and exits with 3.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace OUTPUT once the new one is complete."),
    click.option("--resume", is_flag=True, help="Keep finished shards of an earlier run."),
)

prepare_option = click.option(
    "--prepare-workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Processes of a task that run the model's prepare(): for one that is slow Python. 0: a "
    "thread does.",
)

# Where and how tasks run.
execution_options = together(
    click.option(
        "-r",
        "--runner",
        type=RUNNERS,
        default="inline",
        show_default=True,
        help="Where tasks run: in this process, in one process per core, or on YARN.",
    ),
    click.option(
        "--batch-size",
        default="auto",
        show_default=True,
        metavar="auto|N",
        help="Rows per forward pass; auto measures what is fast.",
    ),
    click.option(
        "--shard-size",
        default="auto",
        show_default=True,
        metavar="auto|SIZE",
        help="Bytes of input per task; auto is 128MB, or on hadoop what keeps all containers busy "
        "to the end.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Processes of -r local, and of train --sync allreduce.  [default: a process per core, "
        "or as many as fit]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="torch threads per task.  [default: 1 on local, where all cores have a process; else "
        "the cores (on hadoop the container's vcores), or fewer where the first batches show that "
        "these do as well]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Memory of a container.  [default: estimated from the model]",
    ),
    click.option(
        "--vcores",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Cores of a container.",
    ),
    click.option(
        "--python", metavar="PATH", help="Python interpreter on the nodes.  [default: this one]"
    ),
    click.option(
        "--env",
        metavar="ARCHIVE",
        help="Python environment for the nodes: a relocatable one (conda-pack, venv-pack), as "
        ".tar.gz or .zip, local or on hdfs://.",
    ),
    click.option(
        "--batch-timeout",
        type=click.FloatRange(0, min_open=True),
        default=1800,
        show_default=True,
        metavar="SECONDS",
        help="A task in which nothing moves for so long is hung, and is ended.",
    ),
    click.option(
        "--jobconf",
        type=Pair(),
        multiple=True,
        metavar="KEY=VALUE",
        help="Hadoop property of the job; repeatable.",
    ),
    click.option(
        "--conf-path",
        "conf_paths",
        multiple=True,
        metavar="PATH",
        help="mrjob configuration file; repeatable.",
    ),
)

# What is told.
telling_options = together(
    click.option("-q", "--quiet", is_flag=True, help="No progress and no summary."),
    click.option("-v", "--verbose", count=True, help="Tell what happens inside; -vv tells more."),
    click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout."),
)
