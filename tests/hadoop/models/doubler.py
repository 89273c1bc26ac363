"""Twice x; it fails on what is negative, and prints as badly behaved libraries do."""

import os
import subprocess
import sys

import mrmodel

# Hadoop Streaming's own words for a counter, and what is a record to it
COUNTER = "reporter:counter:mrmodel,rows in,1000000"


class Doubler(mrmodel.Predictor):
    inputs = ["x"]

    def predict(self, batch):
        if (batch["x"] < 0).any():
            raise ValueError("x is negative")
        return {"twice": batch["x"] * 2}


class Noisy(Doubler):
    """In load and with every batch: on stdout and stderr, from Python, C and a child."""

    def load(self, weights, device):
        self.make_noise()

    def predict(self, batch):
        self.make_noise()
        return super().predict(batch)

    def make_noise(self):
        print("a key\ta value", flush=True)
        print(COUNTER, file=sys.stderr, flush=True)
        subprocess.run(["sh", "-c", f"cat; echo '{COUNTER}'"], check=True)
        os.write(1, f"{COUNTER}\nno end of line".encode())
        os.write(2, b"no end of line either")


class Anything(mrmodel.Predictor):
    """Reads whatever columns --inputs names; says how long their values are as text."""

    def predict(self, batch):
        columns = list(batch)
        rows = zip(*(batch[name] for name in columns), strict=True)
        return {"länge": [sum(len(str(value)) for value in row) for row in rows]}
