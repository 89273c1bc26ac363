"""The end of a training in a few lines that people can read."""

from __future__ import annotations

from mrmodel.driver.train_steps import TrainRun
from mrmodel.training.checkpoints import BAD
from mrmodel.units import duration


def lines(run: TrainRun) -> list[str]:
    """The summary of a training, line by line."""
    loss = "" if run.loss is None else f"{run.loss:.6g}"
    if run.validation_loss is not None:
        loss += f", validation {run.validation_loss:.6g} (best in round {run.best_round})"
    facts = {
        "rounds": f"{run.rounds}" + (f", then stopped: {run.stopped}" if run.stopped else ""),
        "loss": loss or "nothing was left to train",
        "bad rows": f"{run.bad:,}, in {run.output}/{BAD}" if run.bad else "",
        "time": f"{duration(run.seconds)} on {run.runner}",
        "output": run.output,
    }
    return [f"{name:<15}{text}" for name, text in facts.items() if text]
