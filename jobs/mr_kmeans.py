"""k-means (Lloyd) in summation form, after Chu et al. 2006: one job per round.

Run it as `python jobs/mr_kmeans.py -r hadoop --centres centres.csv hdfs:///rows`. A row is a line
of numbers with commas; centres.csv has rows to start from. Each round replaces them: the file is
the state between rounds and the result. A centre without rows stays where it is.
"""

from itertools import islice

import numpy as np
import torch
from mrjob.job import MRJob


class MRKMeans(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--centres", help="CSV file: the centres to start from, and the result")
        self.add_passthru_arg("--rounds", type=int, default=100, help="stop after so many")
        self.add_passthru_arg("--tolerance", type=float, default=1e-6, help="or at such a move")

    def map_pairs(self, pairs, step_num=0):
        """What mapper() would do, for a batch of lines at once."""
        centres = torch.from_numpy(np.loadtxt(self.options.centres, delimiter=",", ndmin=2))
        sums = torch.zeros(len(centres), centres.shape[1] + 1, dtype=torch.float64)
        while lines := [line for _, line in islice(pairs, 1024)]:
            rows = torch.from_numpy(np.loadtxt(lines, delimiter=",", ndmin=2))
            # squared distances, less the row's own square: it is the same for all centres
            distances = centres.square().sum(1) - 2 * rows @ centres.T
            sums.index_add_(0, distances.argmin(1), torch.nn.functional.pad(rows, (0, 1), value=1))
        yield from (pair for pair in enumerate(sums.tolist()) if pair[1][-1])

    def reducer(self, centre, sums):
        # mappers end in any order, and the last bits of a sum depend on the order
        *total, rows = np.sum(sorted(sums), axis=0)
        yield centre, [number / rows for number in total]

    def run_job(self):
        if not self.options.centres or not self.options.args:
            self.arg_parser.error("expected --centres FILE and input files")
        self.set_up_logging(self.options.quiet, self.options.verbose)
        for number in range(1, self.options.rounds + 1):
            before = np.loadtxt(self.options.centres, delimiter=",", ndmin=2)
            with self.make_runner() as runner:
                runner.run()
                found = dict(self.parse_output(runner.cat_output()))
            centres = [found.get(index, centre) for index, centre in enumerate(before)]
            np.savetxt(self.options.centres, centres, delimiter=",")
            move = np.linalg.norm(centres - before, axis=1).max()
            print(f"round {number}: a centre moved by {move:g}")
            if move <= self.options.tolerance:
                break


if __name__ == "__main__":
    MRKMeans.run()
