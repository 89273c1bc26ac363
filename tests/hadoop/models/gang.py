"""A small model for a gang; with `notes`, rank 1 kills itself once in the second epoch: the process
that trains, or with `member` the task that looks after it."""

import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist


class Net(torch.nn.Module):
    inputs = ["x", "truth"]

    def __init__(self, notes=None, member=False):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(1, 64), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1)
        )
        self.notes, self.member = notes, member
        self.steps = 0

    def training_step(self, batch, batch_idx):
        self.steps += 1
        if self.notes and dist.get_rank() == 1 and self.steps == 20:
            self.die_once(Path(self.notes))
        y = self.layers(batch["x"].unsqueeze(1)).squeeze(1)
        return torch.nn.functional.mse_loss(y, batch["truth"])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def die_once(self, notes):
        try:
            (notes / "dead").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getppid() if self.member else os.getpid(), signal.SIGKILL)


class Gate(Net):
    """Goes no further in the second epoch before there is a file `open` in `notes`."""

    def training_step(self, batch, batch_idx):
        deadline = time.monotonic() + 120
        while self.steps == 20 and not (Path(self.notes) / "open").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody opened {self.notes}/open")
            time.sleep(0.1)
        return super().training_step(batch, batch_idx)

    def die_once(self, notes):
        """Not this one."""
