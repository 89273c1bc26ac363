"""The sum of a SIZE × SIZE random array, in chunks that never meet: `python jobs/mr_array_sum.py`.

The array is not stored anywhere: an input line is the index of a chunk ("3 7"), and its mapper
makes the chunk from (seed, 3, 7). Any mrjob runner will do: `-r local`, `-r hadoop`.
"""

import numpy as np
import torch
from mrjob.job import MRJob

CHUNKS_PER_TASK = 10


class MRArraySum(MRJob):
    # on Hadoop a small input file would be one task: cut it by lines instead of by bytes
    HADOOP_INPUT_FORMAT = "org.apache.hadoop.mapred.lib.NLineInputFormat"
    JOBCONF = {
        "mapreduce.input.lineinputformat.linespermap": CHUNKS_PER_TASK,
        "stream.map.input.ignoreKey": "true",
    }

    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--size", type=int, default=10_000, help="rows and columns")
        self.add_passthru_arg("--chunk", type=int, default=1_000, help="the same, of a chunk")
        self.add_passthru_arg("--seed", type=int, default=0, help="the array's seed")

    def make_runner(self):
        """Without input paths the job makes its own input: one line per chunk."""
        if not self.options.args:
            chunks = range(-(-self.options.size // self.options.chunk))
            lines = [f"{row} {column}\n".encode() for row in chunks for column in chunks]
            self.sandbox(stdin=lines, stdout=self.stdout, stderr=self.stderr)
        return super().make_runner()

    def mapper_init(self):
        self.total, self.elements = 0.0, 0

    def mapper(self, _, line):
        index = [int(number) for number in line.split()]
        shape = [min(self.options.chunk, self.options.size - i * self.options.chunk) for i in index]
        array = np.random.default_rng([self.options.seed, *index]).random(shape)
        self.total += torch.from_numpy(array).sum().item()
        self.elements += array.size

    def mapper_final(self):
        yield None, (self.total, self.elements)

    def reducer(self, _, sums):
        totals, elements = zip(*sums, strict=True)
        yield "sum", sum(totals)
        yield "elements", sum(elements)


if __name__ == "__main__":
    MRArraySum.run()
