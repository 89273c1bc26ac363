"""A number for each window of a document; with `notes`, a first attempt at late windows dies."""

import os
import signal
from pathlib import Path

import mrmodel


class Score(mrmodel.Predictor):
    inputs = ["x"]

    def __init__(self, notes=None):
        self.notes = Path(notes) if notes else None

    def predict(self, batch):
        if self.notes and batch["x"].max() > 0.99:
            try:
                (self.notes / "dead").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return {"score": batch["x"] / 3}
