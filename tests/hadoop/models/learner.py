"""A small model to train; with `notes`, its first attempt at the last rows dies in round 2."""

import os
import signal
from pathlib import Path

import torch


class Net(torch.nn.Module):
    inputs = ["x", "truth"]

    def __init__(self, notes=None, width=64):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(1, width),
            torch.nn.Tanh(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(width, 1),
        )
        self.register_buffer("mark", torch.tensor(0.9))
        self.notes = Path(notes) if notes else None

    def training_step(self, batch, batch_idx):
        if self.notes and batch["x"].max() > self.mark:
            self.die_in_the_second_round()
        y = self.layers(batch["x"].unsqueeze(1)).squeeze(1)
        return torch.nn.functional.mse_loss(y, batch["truth"])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def die_in_the_second_round(self):
        seen, dead = self.notes / "seen", self.notes / "dead"
        if self.attempt() in (seen.read_text() if seen.exists() else ""):
            return
        with seen.open("a") as file:
            file.write(f"{self.attempt()}\n")
        if len(seen.read_text().splitlines()) > 4 and not dead.exists():
            dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def attempt(self):
        return os.environ.get("mapreduce_task_attempt_id", "here")  # noqa: SIM112
