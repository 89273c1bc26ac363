"""Training as mrjob jobs: mappers sum gradients, reducers add the sums.

A round of ``mrmodel train --sync gradient`` is one such job; the driver takes the step.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mrmodel.jobs.mr_evaluate import MRReduced
from mrmodel.jobs.mr_predict import MRPredict

# fields of `TrainSpec` as options of scripts: what a value is, and what is said of it
_LEARNING: dict[str, tuple[Callable[[str], Any], str]] = {
    "sync": (str, "gradient, local or allreduce"),
    "loss": (str, "for a module without training_step: cross_entropy, mse, ..."),
    "rounds": (int, "steps, each over all rows; of local, averages; of allreduce, epochs"),
    "optimizer": (str, "one of torch.optim; default: the model's own, or sgd"),
    "lr": (float, "its learning rate"),
    "optimizer_args": (json.loads, "its other arguments, as JSON"),
    "lr_schedule": (str, "constant, cosine or linear"),
    "clip": (float, "scale gradients down to this norm"),
    "seed": (int, "of the weights and of all that is random"),
    "early_stop": (int, "end after so many rounds without a better validation loss"),
    "keep_last": (int, "checkpoints to keep; default: all"),
    "inner_steps": (int, "local: steps of each shard in a round"),
    "outer_lr": (float, "local: of a round"),
    "outer_momentum": (float, "local: Nesterov's, of rounds"),
    "min_shards": (str, "local: a round goes on without the others of its shards: 3/4, 0.75"),
    "delta_dtype": (str, "local: bfloat16 or int8, what deltas are sent as; default: as they are"),
    "gang_timeout": (float, "allreduce: longest wait for all workers to run at once, seconds"),
}


class MRGradient(MRReduced):
    """The job of a round: a record per shard and bucket, and one with the shard's rows and
    loss."""

    TASK = "mrmodel.tasks.local_steps:training_task"
    REDUCE = "mrmodel.training.buckets:add_up"


class MRTrain(MRPredict):
    """A script that trains: it starts the jobs of the rounds, and is none itself. Subclass it to
    fix what the options would say: ``MODEL``, ``WEIGHTS``, ``INPUTS``, ``LABEL``, ``VALIDATION``,
    ``WORKERS`` and each field of `TrainSpec` by its name in capitals. ``JOBCONF`` goes to every
    job."""

    DRIVER = "mrmodel.driver.script:run_train_script"
    LABEL: str | None = None
    VALIDATION: tuple[str, ...] = ()
    BATCH_SIZE: int | None = None
    WORKERS: int | None = None

    def configure_args(self) -> None:
        super().configure_args()
        # --label is an option of mrjob
        self.add_passthru_arg("--label-column", help="the column with the right answers")
        self.add_passthru_arg("--validation", action="append", help="rows to judge by; repeatable")
        self.add_passthru_arg("--workers", type=int, help="processes of local and allreduce")
        for name, (kind, told) in _LEARNING.items():
            self.add_passthru_arg(f"--{name.replace('_', '-')}", type=kind, help=told)

    def configure_output(self) -> None:
        """None: what comes out are checkpoints."""

    def setting(self, name: str) -> Any:
        """What an option says, else the class; None where neither does."""
        given = getattr(self.options, name)
        return getattr(self, name.upper(), None) if given is None else given

    def learning(self) -> dict[str, Any]:
        """The fields of `TrainSpec` that are given."""
        found = {name: self.setting(name) for name in _LEARNING}
        return {name: value for name, value in found.items() if value is not None}

    def own_options(self) -> dict[str, bool]:
        """The options that are not mrjob's, and whether a value follows: the jobs of the rounds
        do not know them."""
        ours = [a for a in self.arg_parser._actions if a.dest in self._passthru_arg_dests]
        return {option: a.nargs != 0 for a in ours for option in a.option_strings}


if __name__ == "__main__":
    MRGradient.run()
