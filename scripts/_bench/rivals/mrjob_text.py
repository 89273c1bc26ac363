"""MiniLM over JSON lines with mrjob alone; the command line is mrjob's own."""

from mrjob.job import MRJob
from mrjob.protocol import JSONValueProtocol

from _bench.rivals import common


class MREmbed(MRJob):
    """The embedding of each line's text."""

    INPUT_PROTOCOL = JSONValueProtocol
    OUTPUT_PROTOCOL = JSONValueProtocol

    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--weights")
        self.add_passthru_arg("--batch-size", type=int)
        self.add_passthru_arg("--sorted", action="store_true")

    def mapper_init(self):
        from _bench.rivals.embedder import Embedder

        options = self.options
        self.embedder = Embedder(options.weights, options.batch_size, options.sorted)
        self.window = common.WINDOW if options.sorted else options.batch_size
        self.rows = []

    def mapper(self, _, row):
        self.rows.append(row)
        if len(self.rows) == self.window:
            yield from self.embed()

    def mapper_final(self):
        if self.rows:
            yield from self.embed()

    def embed(self):
        rows, self.rows = self.rows, []
        vectors = self.embedder([row["text"] for row in rows])
        common.first_batch()
        for row, vector in zip(rows, vectors.tolist(), strict=True):
            yield None, {"id": row["id"], "embedding": vector}


if __name__ == "__main__":
    MREmbed.run()
