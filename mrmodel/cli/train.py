"""``mrmodel train``."""

from __future__ import annotations

from typing import Any

import click

from mrmodel.cli.job_options import (
    dtype_option,
    execution_options,
    input_options,
    model_options,
    outcome_options,
    saying,
    telling_options,
    together,
)
from mrmodel.cli.options import CONTEXT, JsonObject, set_up_logging
from mrmodel.imports import quick_imports

# What is learned, how, and for how long.
learning_options = together(
    click.option(
        "--sync",
        type=click.Choice(["gradient", "local", "allreduce"]),
        default="gradient",
        show_default=True,
        help="gradient: the exact gradient of all rows, a job per step; local: each shard takes "
        "steps by itself, then they are averaged; allreduce: the tasks train together, with "
        "DistributedDataParallel or what the class sets up itself.",
    ),
    click.option("--label", metavar="COLUMN", help="The column with the right answers."),
    click.option(
        "--loss",
        metavar="NAME",
        help="For a module without training_step: cross_entropy, mse, l1, huber, ...",
    ),
    click.option(
        "--rounds",
        "--epochs",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="Steps, each over all rows; of local, averages; of allreduce, epochs.",
    ),
    click.option(
        "--optimizer", metavar="NAME", help="One of torch.optim.  [default: the model's, or sgd]"
    ),
    click.option("--lr", type=float, help="Its learning rate.  [default: the optimiser's]"),
    click.option(
        "--optimizer-args", type=JsonObject(), default="{}", help="Its other arguments, as JSON."
    ),
    click.option(
        "--lr-schedule",
        type=click.Choice(["constant", "cosine", "linear"]),
        default="constant",
        show_default=True,
        help="How the learning rate goes down to the last round.",
    ),
    click.option(
        "--clip",
        type=click.FloatRange(0, min_open=True),
        metavar="NORM",
        help="Scale gradients down to this norm.",
    ),
    click.option(
        "--inner-steps",
        type=click.IntRange(1),
        default=500,
        show_default=True,
        metavar="H",
        help="local: steps of each shard in a round.",
    ),
    click.option(
        "--outer-lr", type=float, default=0.7, show_default=True, help="local: of a round."
    ),
    click.option(
        "--outer-momentum",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.9,
        show_default=True,
        help="local: Nesterov's, of rounds.",
    ),
    click.option(
        "--min-shards",
        metavar="K/N",
        help="local: a round goes on when this share of its shards, 3/4 or 0.75, is there; the "
        "next one waits for the others.  [default: all]",
    ),
    click.option(
        "--delta-dtype",
        type=click.Choice(["bfloat16", "int8"]),
        help="local: send deltas as these, a half or a quarter of the bytes; what rounding takes "
        "is added to a shard's next delta.  [default: as they are]",
    ),
    click.option(
        "--gang-timeout",
        type=click.FloatRange(0, min_open=True),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="allreduce: longest wait for all workers to run at once.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    click.option(
        "--validation",
        multiple=True,
        metavar="URI",
        help="Rows on which the loss is measured after each round; repeatable.",
    ),
    click.option(
        "--early-stop",
        type=click.IntRange(1),
        metavar="N",
        help="End after N rounds without a better validation loss.",
    ),
    click.option(
        "--keep-last",
        type=click.IntRange(1),
        metavar="K",
        help="Checkpoints to keep.  [default: all]",
    ),
    click.option(
        "--reducers", type=click.IntRange(1), default=1, show_default=True, help="Reduce tasks."
    ),
)


@saying(
    max_bad="Bad rows allowed; with more, training stops and exits with 3.",
    overwrite="Begin anew; the old checkpoints stay until the first round is complete.",
    resume="Go on after the last complete round, to the same bits as without the break.",
    batch_size="Rows per forward pass; of local and allreduce, per step of a shard or worker. "
    "auto: 1024.",
    shard_size="Bytes of input per task; auto is 128MB.",
)
@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.argument("inputs_", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, metavar="CHECKPOINTS", help="Folder for checkpoints."
)
@learning_options
@model_options
@dtype_option
@input_options
@outcome_options
@execution_options
@telling_options
def train(**options: Any) -> None:
    """Train MODEL on the rows of INPUT... and write a checkpoint per round.

    MODEL is a class with Lightning's names (training_step, configure_optimizers), a LightningModule
    among them, or any nn.Module together with --loss, --label and --inputs.

    --sync gradient: each round is a MapReduce job. Mappers sum gradients over their shards,
    reducers add the sums, the driver takes the optimiser's step. The gradient is that of all rows
    in one process; optimisers that look at it more than once per step (lbfgs) run a job for each
    look.

    --sync local: in a round each shard takes --inner-steps steps of --batch-size rows by itself,
    and an outer optimiser follows their average (DiLoCo): far fewer bytes and jobs for as many
    steps. With --min-shards 3/4 it does so when three of four shards are there, and stops the
    others until the next round, which waits for them: who is late depends on time, so that the
    bits of two runs may differ.

    --sync allreduce: one job trains for all --epochs. Its --workers read their rows once, and
    exchange gradients in every step of --batch-size rows each. When a worker dies they begin again
    at the last checkpoint.

    \b
    Examples:
      mrmodel train net.py:Net data/ -o checkpoints --inputs a,b --label y --loss mse --lr 0.1
      mrmodel train digits.py:CNN digits/ -o ckpt --inputs pixels --label label \\
          --loss cross_entropy --optimizer lbfgs --rounds 20
      mrmodel train lit.py:LitNet hdfs:///data -o hdfs:///ckpt -r hadoop --validation hdfs:///test
      mrmodel train lit.py:LitNet hdfs:///data -o hdfs:///ckpt -r hadoop --sync allreduce \\
          --workers 8 --epochs 3 --batch-size 32
      mrmodel predict net.py:Net data/ -o out --weights checkpoints/round-000010/weights.safetensors

    CHECKPOINTS holds round-000001/, ..., latest and metrics.jsonl.
    """
    set_up_logging(options["verbose"], options["quiet"])
    _run(options)


def job_of(options: dict[str, Any]) -> Any:
    """The TrainJob that the command line's `options` describe."""
    from mrmodel.cli.job_specs import specs_of
    from mrmodel.driver.train import TrainJob
    from mrmodel.specs import TrainSpec
    from mrmodel.units import parse_batch_rows

    names = ("sync", "rounds", "label", "loss", "optimizer", "lr", "optimizer_args", "lr_schedule",
             "clip", "seed", "early_stop", "keep_last", "inner_steps", "outer_lr",
             "outer_momentum", "gang_timeout", "min_shards", "delta_dtype")  # fmt: skip
    train_spec = TrainSpec(
        **{name: options[name] for name in names},
        # not measured, as for predictions: it decides the last bits of the sums
        batch_size=parse_batch_rows(options["batch_size"], TrainSpec.batch_size),
        validation=tuple(options["validation"]),
    )
    return TrainJob(*specs_of(options), train_spec, options["reducers"])


def _run(options: dict[str, Any]) -> None:
    import json

    with quick_imports():
        from mrmodel.driver import train_summary
        from mrmodel.driver.predict import Watcher
        from mrmodel.driver.progress import ProgressWatcher
        from mrmodel.driver.train import train as run_train
        from mrmodel.tasks.stdio import stdout_to_stderr

    with stdout_to_stderr():
        watcher = Watcher() if options["quiet"] else ProgressWatcher()
        run = run_train(job_of(options), watcher)
    if options["as_json"]:
        click.echo(json.dumps(run.to_dict(), indent=2))
    elif not options["quiet"]:
        click.echo("\n".join(train_summary.lines(run)))
