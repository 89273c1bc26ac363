"""A slope that goes down by as much as x is. In the first round a step takes a second where x is
4, and the first attempt dies where it is 1."""

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
        self.dead = Path(notes) / "dead"
        self.is_first_round = None

    def training_step(self, batch, batch_idx):
        x = batch["x"].mean()
        if self.is_first_round is None:
            self.is_first_round = self.slope.item() == 0
        if x == 4 and self.is_first_round:
            time.sleep(1)
        if x == 1 and not self.dead.exists():
            self.dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return (self.slope * x).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
