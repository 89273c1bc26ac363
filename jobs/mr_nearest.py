"""The exact nearest neighbours of queries among embeddings, by cosine: a matrix product per batch.

    python jobs/mr_nearest.py -r hadoop --queries queries.jsonl --k 10 hdfs:///embeddings

Queries and input are JSON lines {"id": 7, "vector": [...]}. The result is a line per query: its id
and the k best [id, cosine]. Of equal cosines, which are rounded to 9 digits, the smaller id wins.
"""

import json
from heapq import nsmallest
from itertools import chain, islice

import torch
from mrjob.job import MRJob


def unit(rows):
    """The vectors of the rows, brought to length 1."""
    vectors = torch.tensor([row["vector"] for row in rows], dtype=torch.float64)
    return torch.nn.functional.normalize(vectors)


class MRNearest(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--queries", help="JSON lines: what to find neighbours of")
        self.add_passthru_arg("--k", type=int, default=10, help="neighbours of each query")

    def load_args(self, args):
        super().load_args(args)
        if not self.options.queries:
            self.arg_parser.error("expected --queries FILE")

    def map_pairs(self, pairs, step_num=0):
        """What mapper() would do, for a batch of lines at once."""
        with open(self.options.queries) as file:
            queries = [json.loads(line) for line in file]
        directions, best = unit(queries), [[] for _ in queries]
        while rows := [json.loads(line) for _, line in islice(pairs, 1024)]:
            # rounded, as the last bits depend on the batch and equal vectors are to tie
            cosines = (directions @ unit(rows).T).round(decimals=9)
            least = cosines.topk(min(self.options.k, len(rows))).values[:, -1:]
            for query, row in (cosines >= least).nonzero().tolist():
                best[query].append((-cosines[query, row].item(), rows[row]["id"]))
            best = [nsmallest(self.options.k, found) for found in best]
        for number, query in enumerate(queries):
            yield (number, query["id"]), best[number]  # ids of queries may occur twice

    def reducer(self, query, best):
        found = nsmallest(self.options.k, chain.from_iterable(best))
        yield query[1], [(name, -negative) for negative, name in found]


if __name__ == "__main__":
    MRNearest.run()
