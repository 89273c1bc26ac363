"""Logistic regression by Newton's method in summation form, after Chu et al. 2006: a job per step.

Run it as `python jobs/mr_logistic.py -r hadoop --weights weights.csv hdfs:///rows`. A row is a line
of numbers with commas, standardised, and 0 or 1 last. weights.csv has the weights to start from,
the bias last; each step replaces them. `head -n 1 rows.csv | sed 's/[^,]*/0/g'` makes zeros.
"""

from itertools import islice

import numpy as np
import torch
from mrjob.job import MRJob


class MRLogistic(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--weights", help="CSV file: the weights to start from, and the result")
        self.add_passthru_arg("--l2", type=float, default=1.0, help="1 / C of scikit-learn")
        self.add_passthru_arg("--rounds", type=int, default=25, help="give up after so many")
        self.add_passthru_arg("--tolerance", type=float, default=1e-8, help="size of the last step")

    def map_pairs(self, pairs, step_num=0):
        """What mapper() would do, for a batch of lines at once."""
        weights = torch.from_numpy(np.loadtxt(self.options.weights, delimiter=","))
        sums = torch.zeros(len(weights), 1 + len(weights), dtype=torch.float64)
        while lines := [line for _, line in islice(pairs, 1024)]:
            rows = torch.from_numpy(np.loadtxt(lines, delimiter=",", ndmin=2))
            inputs = torch.nn.functional.pad(rows[:, :-1], (0, 1), value=1)  # 1: for the bias
            chances = torch.sigmoid(inputs @ weights)
            sums[:, 0] += inputs.T @ (chances - rows[:, -1])  # the gradient
            sums[:, 1:] += (inputs.T * chances * (1 - chances)) @ inputs  # the Hessian
        yield None, sums.tolist()

    def reducer(self, _, sums):
        # mappers end in any order, and the last bits of a sum depend on the order
        total = np.sum(sorted(sums), axis=0)
        weights = np.loadtxt(self.options.weights, delimiter=",")
        penalty = np.append(np.full(len(weights) - 1, self.options.l2), 0)  # none on the bias
        step = np.linalg.solve(total[:, 1:] + np.diag(penalty), total[:, 0] + penalty * weights)
        yield np.abs(step).max(), (weights - step).tolist()

    def run_job(self):
        if not self.options.weights or not self.options.args:
            self.arg_parser.error("expected --weights FILE and input files")
        self.set_up_logging(self.options.quiet, self.options.verbose)
        for number in range(1, self.options.rounds + 1):
            with self.make_runner() as runner:
                runner.run()
                ((size, weights),) = self.parse_output(runner.cat_output())
            np.savetxt(self.options.weights, weights)
            print(f"step {number}: a weight moved by {size:g}")
            if size <= self.options.tolerance:
                return
        raise SystemExit(f"no end after {number} steps: standardise the rows, or try a larger --l2")


if __name__ == "__main__":
    MRLogistic.run()
