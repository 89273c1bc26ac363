"""A slope that goes down by as much as x is. Where x is 4 a step takes a second, as long as the
file NOTES/slow is there; where it is 1, the first attempt dies."""

import os
import signal
import time
from pathlib import Path

import torch


class Slope(torch.nn.Module):
    inputs = ["x"]

    def __init__(self, notes):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))
        self.notes = Path(notes)

    def training_step(self, batch, batch_idx):
        x = batch["x"].mean()
        if x == 4 and (self.notes / "slow").exists():
            time.sleep(1)
        if x == 1 and not (self.notes / "dead").exists():
            (self.notes / "dead").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return (self.slope * x).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
