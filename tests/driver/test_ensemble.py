"""Several models over the same rows: one prediction per row, equal to doing it by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import mrmodel
from mrmodel.errors import ModelError, ModelOutputError, UsageError
from tests.driver.helpers import bad, names, rows

ROWS = 40
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.layer(x)
"""
# two folders have a model.py and a helper.py each
LINE = """
import pathlib
import mrmodel
from helper import FACTOR

class Line(mrmodel.Predictor):
    inputs = ["x"]

    def predict(self, batch):
        if FACTOR == 3 and (batch["x"] == 13).any():
            raise ValueError("unlucky")
        return {"y": batch["x"] * FACTOR, "label": [f"{x * FACTOR:.0f}" for x in batch["x"]]}

class Number(Line):
    inputs = ["x"]

    def predict(self, batch):
        return {"y": super().predict(batch)["y"]}

class Square(mrmodel.Predictor):
    inputs = ["z"]

    def prepare(self, batch):
        return batch["z"] ** 2

    def predict(self, squares):
        return {"y": squares}

class Fragile(Number):
    inputs = ["x"]

    def predict(self, batch):
        broken = 25 in batch["x"] and (pathlib.Path(__file__).parent / "broken").exists()
        return {"y": []} if broken else super().predict(batch)

class Sized(mrmodel.Predictor):
    inputs = ["x"]

    def prepare(self, batch):
        return {"x": batch["x"] * FACTOR}

    def size(self, prepared):
        return prepared["x"]

    def predict(self, prepared):
        return {"y": [prepared["x"].max()] * len(prepared["x"])}

class Pair(Number):
    inputs = ["x"]

    def predict(self, batch):
        return {"y": [[x, x] for x in batch["x"]]}
"""


@pytest.fixture
def lake(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    for factor in (2, 3):
        folder = tmp_path / f"factor={factor}"
        folder.mkdir()
        (folder / "model.py").write_text(LINE)
        (folder / "helper.py").write_text(f"FACTOR = {factor}")
    (tmp_path / "in").mkdir()
    for part, first in enumerate(range(0, ROWS, 20)):
        n = np.arange(first, first + 20)
        x = n.astype(np.float64)
        table = pa.table({"id": n, "doc": n % 4, "x": x, "z": x / 2})
        pq.write_table(table, tmp_path / "in" / f"{part}.parquet")
    return tmp_path


def line(lake, factor, name="Number"):
    return f"{lake}/factor={factor}/model.py:{name}"


def weights(lake, count=3):
    """Files of weights for Net, each of its own seed."""
    paths = [lake / f"seed={seed}.safetensors" for seed in range(count)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        state = {f"layer.{k}": v for k, v in torch.nn.Linear(2, 3).state_dict().items()}
        save_file(state, path)
    return paths


def go(lake, models, output="out", **options):
    """Predict with a shard per file."""
    options = {"shard_size": "1", "batch_size": 7, **options}
    return mrmodel.predict(models, lake / "in", lake / output, **options)


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_equal_to_averaging_separate_runs_by_hand(lake, runner):
    net, files = f"{lake}/net.py:Net", weights(lake)
    options = {"inputs": ["x", "z"], "runner": runner}
    run = go(lake, [net] * 3, weights=files, aggregate="mean", **options)
    assert run.rows == {"in": ROWS, "ok": ROWS, "bad": 0}
    singles = []
    for seed, path in enumerate(files):
        go(lake, net, f"single-{seed}", weights=path, **{**options, "runner": "inline"})
        singles.append([row["output"] for row in rows(lake / f"single-{seed}")])
    expected = np.mean(np.array(singles, np.float64), axis=0).astype(np.float32)
    table = pq.read_table(lake / "out")
    assert table.schema.names == ["id", "doc", "output"]
    assert table.schema.field("output").type == pa.list_(pa.float32(), 3)
    assert table.column("id").to_pylist() == list(range(ROWS))
    # the same arithmetic in the same order: not one bit differs
    np.testing.assert_array_equal(np.array(table.column("output").to_pylist(), "f4"), expected)
    assert len({tuple(np.ravel(single)) for single in singles}) == 3
    told = run.model["models"]
    assert [one["name"] for one in told] == [f"{net}={path}" for path in files]
    assert len({one["sha256"] for one in told}) == 3


def test_models_of_their_own_columns_and_prepare(lake):
    """Of all three rows are read once; the files of the two first have the same names."""
    models = [line(lake, 2), line(lake, 3), line(lake, 2, "Square")]
    for how, make in {"mean": np.mean, "max": np.max}.items():
        go(lake, models, how, aggregate=how, max_bad=1)
        found = rows(lake / how)
        assert [row["id"] for row in found] == [n for n in range(ROWS) if n != 13]
        for row in found:
            n = row["id"]
            assert row == {"id": n, "doc": n % 4, "y": make([2 * n, 3 * n, (n / 2) ** 2])}


def test_rows_of_one_size_go_together(lake):
    go(lake, [line(lake, 2, "Sized"), line(lake, 3, "Sized")], aggregate="mean")
    # batches of 7, the largest first, and back in their order
    largest = [[5] * 6, [12] * 7, [19] * 7, [25] * 6, [32] * 7, [39] * 7]
    assert [row["y"] for row in rows(lake / "out")] == [2.5 * n for n in sum(largest, [])]


def test_votes_and_lists(lake):
    models = [line(lake, 2, "Line"), line(lake, 3, "Line"), line(lake, 2, "Line")]
    expected = {
        "vote": {"y": 10, "label": "10"},
        "concat": {"y": [10, 15, 10], "label": ["10", "15", "10"]},
        "topk:2:y": {"y": [15, 10], "label": ["15", "10"]},
    }
    for how, columns in expected.items():
        output = how.replace(":", "-")
        go(lake, models, output, aggregate=how, max_bad=1, output_format="jsonl")
        assert rows(lake / output)[5] == {"id": 5, "doc": 1, "z": 2.5, **columns}


@pytest.mark.parametrize("how", ["mean", "max", "vote", "concat", "topk:3"])
def test_groups_of_all_models_and_rows(lake, how):
    go(lake, [line(lake, 2), line(lake, 3)], aggregate=how, group_by="doc", max_bad=1)
    found = {}
    for row in rows(lake / "out"):
        found.setdefault(row["doc"], []).append(row)
    for doc in range(4):
        own = [n for n in range(doc, ROWS, 4) if n != 13]
        values = [n * factor for n in own for factor in (2, 3)]
        common, count = np.unique(values, return_counts=True)
        expected = {
            "mean": [{"y": np.mean(values)}],
            "max": [{"y": max(values)}],
            "vote": [{"y": common[count.argmax()]}],
            "concat": [{"y": values}],
            "topk:3": [{"y": y, "rank": n + 1} for n, y in enumerate(sorted(values)[:-4:-1])],
        }[how]
        rest = {"doc": doc} if how == "topk:3" else {"doc": doc, "rows": len(own)}
        assert found[doc] == [{**rest, **one} for one in expected]


def test_a_bad_row_is_told_once_and_with_its_model(lake):
    run = go(lake, [line(lake, 2), line(lake, 3)], aggregate="mean", max_bad=1)
    assert run.rows == {"in": ROWS, "ok": ROWS - 1, "bad": 1}
    (letter,) = bad(lake / "out")
    assert (letter["row"], letter["error"]) == (13, "ValueError")
    assert letter["message"] == f"model {line(lake, 3)}: unlucky"


def test_outputs_that_differ(lake):
    first = line(lake, 2)
    received = {
        "Line": r"received y \(double\), label \(string\) from model",
        "Pair": r"received y \(list<.*double>\) from model",
    }
    for name, told in received.items():
        with pytest.raises(ModelOutputError, match=told) as raised:
            go(lake, [first, line(lake, 2, name)], aggregate="mean")
        assert f"expected y (double) as model {first} gives" in raised.value.message
    assert "out" not in names(lake)


def test_resume_keeps_the_finished_shards(lake):
    models = [line(lake, 2), line(lake, 3, "Fragile")]
    (lake / "factor=3" / "broken").touch()
    with pytest.raises(ModelOutputError, match=f"model {models[1]}: predict returned 0 rows"):
        go(lake, models, aggregate="mean", max_bad=1)
    (lake / "factor=3" / "broken").unlink()
    run = go(lake, models, aggregate="mean", max_bad=1, resume=True)
    assert (run.kept, run.rows["ok"]) == (1, ROWS - 1)
    assert [row["y"] for row in rows(lake / "out")] == [2.5 * n for n in range(ROWS) if n != 13]


def test_resume_goes_by_the_hashes_of_all_models(lake):
    net, files = f"{lake}/net.py:Net", weights(lake, 2)

    def outputs(model=(net, net), output="out", **options):
        go(lake, list(model), output, weights=files[: len(model)], inputs=["x", "z"], **options)
        return np.array(pq.read_table(lake / output).column("output").to_pylist(), np.float32)

    outputs(aggregate="mean", resume=True)
    part = lake / "out" / "part-00000.parquet"
    written = part.stat().st_mtime_ns
    outputs(aggregate="mean", resume=True)
    assert part.stat().st_mtime_ns == written
    save_file({"layer.weight": torch.zeros(3, 2), "layer.bias": torch.zeros(3)}, files[1])
    first = outputs([net], "single")
    np.testing.assert_array_equal(outputs(aggregate="mean", resume=True), first / 2)
    np.testing.assert_array_equal(outputs(aggregate="max", resume=True), np.maximum(first, 0))


def test_what_is_wrong_is_named(lake):
    models = [line(lake, 2), line(lake, 3)]
    with pytest.raises(UsageError, match="2 models need --aggregate HOW: .* expected mean, max"):
        go(lake, models)
    with pytest.raises(UsageError, match="--aggregate median: expected mean"):
        go(lake, models, aggregate="median")
    with pytest.raises(UsageError, match="weights: expected a list with those of each of 2 models"):
        go(lake, models, aggregate="mean", weights="w.safetensors")
    (lake / "w.safetensors").write_bytes(b"no tensors")
    net = f"{lake}/net.py:Net"
    with pytest.raises(ModelError, match=f"model {net}={lake}/w.safetensors: "):
        go(lake, [models[0], net], weights=[None, lake / "w.safetensors"], aggregate="mean",
           inputs=["x"])  # fmt: skip
