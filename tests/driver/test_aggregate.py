"""Predictions by groups, from rows in files to a row per group."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mrmodel
from mrmodel.errors import ModelOutputError, UsageError
from tests.driver.helpers import bad, names, rows

ROWS = 90
MODEL = """
import mrmodel

class Model(mrmodel.Predictor):
    inputs = ["x"]

    def predict(self, batch):
        if (batch["x"] == 13).any():
            raise ValueError("unlucky")
        return {"y": batch["x"] * 2, "text": [f"{x:.0f}" for x in batch["x"]]}

class Numbers(Model):
    def predict(self, batch):
        return {"y": batch["x"] * 2}
"""


@pytest.fixture
def lake(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "in").mkdir()
    docs = [f"d{n % 7}" for n in range(ROWS)]
    for part, first in enumerate(range(0, ROWS, 30)):
        x = np.arange(first, first + 30, dtype=np.float64)
        table = pa.table({"doc": docs[first : first + 30], "x": x, "title": docs[first:][:30]})
        pq.write_table(table, tmp_path / "in" / f"{part}.parquet")
    return tmp_path


def go(lake, aggregate, model="Numbers", runner="inline", **options):
    options = {"group_by": "doc", "aggregate": aggregate, "shard_size": "1", **options}
    return mrmodel.predict(
        f"{lake}/model.py:{model}", lake / "in", lake / "out", runner=runner, **options
    )


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_a_row_per_group(lake, runner):
    run = go(lake, "mean", runner=runner, reducers=2, keep=["title"])
    assert run.rows == {"in": ROWS, "ok": ROWS, "bad": 0}
    assert "_SUCCESS" in names(lake / "out")
    found = {row["doc"]: row for row in rows(lake / "out")}
    assert sorted(found) == [f"d{n}" for n in range(7)]
    for n in range(7):
        x = np.arange(n, ROWS, 7)
        expected = {"doc": f"d{n}", "title": f"d{n}", "y": 2 * x.mean(), "rows": len(x)}
        assert found[f"d{n}"] == pytest.approx(expected)


def test_concatenated_in_input_order(lake):
    go(lake, "concat", model="Model", output_format="jsonl", max_bad=1)
    found = {row["doc"]: row for row in rows(lake / "out")}
    for n in range(7):
        expected = [str(x) for x in range(n, ROWS, 7) if x != 13]
        assert found[f"d{n}"]["text"] == expected
        assert found[f"d{n}"]["rows"] == len(expected)
    assert [letter["message"] for letter in bad(lake / "out")] == ["unlucky"]


def test_resume_and_overwrite(lake):
    go(lake, "max")
    assert go(lake, "max", resume=True).rows["ok"] == ROWS
    go(lake, "topk:1", overwrite=True)
    assert {row["rank"] for row in rows(lake / "out")} == {1}


def test_what_is_wrong_is_named(lake):
    with pytest.raises(UsageError, match="--aggregate needs --group-by, too"):
        go(lake, "mean", group_by=None)
    with pytest.raises(UsageError, match="--aggregate median: expected mean"):
        go(lake, "median")
    with pytest.raises(ModelOutputError, match="mean: output 'text' is string: expected numbers"):
        go(lake, "mean", model="Model", max_bad=1)
    assert "out" not in names(lake)
