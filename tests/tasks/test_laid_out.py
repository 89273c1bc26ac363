"""Weights of a task's model, as they lie when rows come."""

import pyarrow.parquet as pq
import pytest

from mrmodel.models import packed
from tests.driver import helpers

MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            self.linear = torch.nn.Linear(8, 8)
            self.conv = torch.nn.Conv2d(3, 8, 3)

        def predict(self, batch):
            rows = len(batch["x"])
            packed = "forward" in vars(self.linear)
            side_by_side = self.conv.weight.is_contiguous(memory_format=torch.channels_last)
            return {"linear": [packed] * rows, "conv": [side_by_side] * rows}
"""


@pytest.mark.parametrize("faster", [True, False])
def test_weights_are_laid_out_when_the_model_is_loaded(tmp_path, monkeypatch, faster):
    monkeypatch.setattr(packed, "is_faster_here", lambda: faster)
    data = helpers.parquet(tmp_path / "in.parquet", range(3))
    run = helpers.run(helpers.model(tmp_path, MODEL), data, tmp_path / "out")
    found = pq.read_table(run.output).to_pydict()
    assert set(found["linear"]) == {faster}
    assert set(found["conv"]) == {True}
