"""An ensemble on the cluster: files of one name, from several places, each at its own model."""

import os

import pytest
import torch
from safetensors.torch import save

from mrmodel import storage as st

from . import running

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

ROWS = 4000
NET = """
import torch
from shift import SHIFT

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 2, bias=False)

    def forward(self, x):
        if (x == {unlucky}).any():
            raise ValueError("unlucky")
        return self.layer(x) + SHIFT
"""


@pytest.fixture
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-ensemble-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


def test_the_mean_of_two_models(root, tmp_path):
    models = []
    for n, matrix in enumerate([[[0.5], [3.0]], [[-2.0], [0.25]]]):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "net.py").write_text(NET.format(unlucky=17 if n else -1))
        (folder / "shift.py").write_text(f"SHIFT = {n * 10}")
        weights = f"{root if n else tmp_path}/w={n}/net.safetensors"
        st.write_bytes(weights, save({"layer.weight": torch.tensor(matrix)}))
        models.append(f"{folder}/net.py:Net={weights}")
    rows = [{"id": n, "x": n, "pad": "." * 1000} for n in range(ROWS)]
    running.write_file(f"{root}/in.jsonl", running.json_lines(rows), block_size=1 << 20)
    done = running.mrmodel(
        "predict", "--model", models[0], "--model", models[1], f"{root}/in.jsonl",
        *("-o", f"{root}/out", "-r", "hadoop", "--json", "--inputs", "x", "--keep", "id"),
        *("--aggregate", "mean", "--shard-size", "2MB", "--max-bad", "1"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.summary["rows"] == {"in": ROWS, "ok": ROWS - 1, "bad": 1}
    found = {row["id"]: row["output"] for row in running.rows(f"{root}/out")}
    assert sorted(found) == [n for n in range(ROWS) if n != 17]
    # whole numbers and quarters: exact in single precision
    for n, output in found.items():
        assert output == [(0.5 * n - 2 * n + 10) / 2, (3 * n + 0.25 * n + 10) / 2]
    (letter,) = running.dead_letters(f"{root}/out")
    assert letter["message"] == f"model {models[1]}: unlucky"
    told = running.run_json(f"{root}/out")
    assert [model["name"] for model in told["model"]["models"]] == models
    assert len(told["shards"]) > 1
