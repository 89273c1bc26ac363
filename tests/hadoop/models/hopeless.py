"""Models that no second attempt helps."""

import time

import mrmodel


class FailsInLoad(mrmodel.Predictor):
    inputs = ["x"]

    def load(self, weights, device):
        open_vocabulary()

    def predict(self, batch):
        return {"y": batch["x"]}


def open_vocabulary():
    raise RuntimeError("the vocabulary has no token for padding")


class Greedy(mrmodel.Predictor):
    """Takes the memory that it is told to."""

    inputs = ["x"]

    def __init__(self, megabytes):
        self.megabytes = megabytes

    def predict(self, batch):
        self.kept = b"x" * (self.megabytes << 20)
        time.sleep(60)
        return {"y": batch["x"]}


class Sleeps(mrmodel.Predictor):
    inputs = ["x"]

    def predict(self, batch):
        time.sleep(600)
        return {"y": batch["x"]}
