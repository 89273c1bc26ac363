"""An exact gradient over all rows: `python jobs/mr_gradients.py --weights weights.json rows.csv`.

A row is a line of numbers with commas, the target last; weights.json is a list, the bias last.
Mappers sum over their rows, the reducer adds the sums: what one process with all rows would find.
"""

import json

import numpy as np
import torch
from mrjob.job import MRJob

BATCH_ROWS = 1024


def loss(weights, inputs, targets):
    """The summed squared error of a linear model; put your own here."""
    return (inputs @ weights[:-1] + weights[-1] - targets).square().sum()


class MRGradients(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--weights", help="JSON file: where to take the gradient")

    def load_args(self, args):
        super().load_args(args)
        if not self.options.weights:
            self.arg_parser.error("expected --weights FILE")

    def mapper_init(self):
        with open(self.options.weights) as file:
            self.weights = torch.tensor(json.load(file), dtype=torch.float64)
        self.lines, self.sums = [], np.zeros(len(self.weights) + 2)

    def mapper(self, _, line):
        self.lines.append(line)
        if len(self.lines) == BATCH_ROWS:
            self.add_batch()

    def add_batch(self):
        rows = torch.from_numpy(np.loadtxt(self.lines, delimiter=",", ndmin=2))
        both = torch.func.grad_and_value(loss)(self.weights, rows[:, :-1], rows[:, -1])
        self.sums += torch.hstack([*both, torch.tensor(len(rows))]).numpy()
        self.lines = []

    def mapper_final(self):
        if self.lines:
            self.add_batch()
        yield None, self.sums.tolist()

    def reducer(self, _, sums):
        # mappers end in any order, and the last bits of a sum depend on the order
        *gradient, total, rows = np.sum(sorted(sums), axis=0).tolist()
        yield "sum", {"gradient": gradient, "loss": total, "rows": int(rows)}


if __name__ == "__main__":
    MRGradients.run()
