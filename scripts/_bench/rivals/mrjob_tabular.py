"""The MLP over JSON lines of 30 numbers with mrjob alone; the command line is mrjob's own."""

from mrjob.job import MRJob
from mrjob.protocol import JSONValueProtocol

from _bench.rivals import common

COLUMNS = [f"f{i}" for i in range(30)]


class MRPredict(MRJob):
    """A number for each line."""

    INPUT_PROTOCOL = JSONValueProtocol
    OUTPUT_PROTOCOL = JSONValueProtocol

    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--weights")
        self.add_passthru_arg("--batch-size", type=int)

    def mapper_init(self):
        import safetensors.torch
        import torch

        from _bench.mlp import MLP

        torch.set_num_threads(1)
        self.model = MLP().eval()
        self.model.load_state_dict(safetensors.torch.load_file(self.options.weights))
        self.rows = []

    def mapper(self, _, row):
        self.rows.append(row)
        if len(self.rows) == self.options.batch_size:
            yield from self.predict()

    def mapper_final(self):
        if self.rows:
            yield from self.predict()

    def predict(self):
        import torch

        rows, self.rows = self.rows, []
        with torch.inference_mode():
            found = self.model(torch.tensor([[row[name] for name in COLUMNS] for row in rows]))
        common.first_batch()
        for row, output in zip(rows, found.tolist(), strict=True):
            yield None, {"id": row["id"], "output": output}


if __name__ == "__main__":
    MRPredict.run()
