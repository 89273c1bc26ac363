"""Evaluations as jobs: equal to torchmetrics on all rows, whatever the runner and the cuts."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torchmetrics.classification import MulticlassF1Score
from torchmetrics.regression import MeanSquaredError, PearsonCorrCoef

import mrmodel
from mrmodel.errors import (
    InputError,
    MetricError,
    ModelOutputError,
    TooManyBadRowsError,
    UsageError,
)
from tests.driver import helpers
from tests.driver.helpers import model, names

ROWS = 700
MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def predict(self, batch):
            if (batch["x"] > 90).any():
                raise ValueError("too large")
            return {"y": batch["x"] * 2, "digit": (batch["x"] * 10).astype(int) % 3}
"""


@pytest.fixture
def table():
    random = np.random.default_rng(7)
    x = random.random(ROWS).astype(np.float32)
    y = (2 * x + random.normal(size=ROWS) / 4).astype(np.float32)
    kinds = [["a", "b b", None][n % 3] for n in range(ROWS)]
    return pa.table({"x": x, "truth": y, "kind": random.integers(0, 3, ROWS), "g": kinds})


@pytest.fixture
def lake(tmp_path, table):
    """Uneven files, one of them empty."""
    (tmp_path / "in").mkdir()
    for number, (first, last) in enumerate([(0, 1), (1, 400), (400, 400), (400, ROWS)]):
        pq.write_table(table.slice(first, last - first), tmp_path / "in" / f"{number}.parquet")
    model(tmp_path, MODEL)
    return tmp_path


def evaluate(lake, *metrics, **options):
    options = {"label": "truth", "prediction": "y", **options}
    return mrmodel.evaluate(f"{lake}/model.py:Model", lake / "in", metrics=metrics, **options)


def expected(metric, table, column="truth", rows=None):
    x = torch.from_numpy(table["x"].to_numpy())
    predictions = x * 2 if column == "truth" else (x * 10).int() % 3
    truth = torch.from_numpy(table[column].to_numpy())
    rows = torch.arange(len(x)) if rows is None else torch.tensor(rows)
    metric.update(predictions[rows], truth[rows])
    return metric.compute().item()


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_equal_to_all_rows_in_one_process(lake, table, runner):
    found = evaluate(
        lake, "mean_squared_error", "PearsonCorrCoef", runner=runner, workers=2, shard_size="1"
    )
    assert found.rows == {"in": ROWS, "ok": ROWS, "bad": 0}
    assert found.metrics["mean_squared_error"] == pytest.approx(
        expected(MeanSquaredError(), table), rel=1e-5
    )
    assert found.metrics["PearsonCorrCoef"] == pytest.approx(
        expected(PearsonCorrCoef(), table), rel=1e-5
    )
    assert found.measures[0]["shards"] >= 3
    assert names(lake) == ["in", "model.py"]  # nothing is left without an output


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_groups(lake, table, runner):
    metric = "f1_score:task=multiclass,num_classes=3,average=macro"
    found = evaluate(
        lake, metric, label="kind", prediction="digit", group_by="g", runner=runner, workers=2,
        reducers=2, shard_size="1",
    )  # fmt: skip
    assert [(m["group"], m["overall"]) for m in found.measures] == [
        (None, True), (None, False), ("a", False), ("b b", False),
    ]  # fmt: skip
    groups = table["g"].to_pylist()
    for measure in found.measures:
        rows = [n for n in range(ROWS) if measure["overall"] or groups[n] == measure["group"]]
        assert measure["rows"] == len(rows)
        alone = expected(MulticlassF1Score(3, average="macro"), table, "kind", rows)
        assert measure["metrics"][0]["value"] == pytest.approx(alone, rel=1e-5)


def test_every_runner_and_cut_draws_the_same_resamples_of_a_shard(lake):
    one, two = (
        evaluate(lake, "mean_squared_error", bootstrap=20, runner=runner, shard_size="1")
        for runner in ("inline", "local")
    )
    assert one.measures == two.measures
    metric = one.measures[0]["metrics"][0]
    assert metric["low"] < metric["value"] < metric["high"]


def test_an_output_holds_the_measures(lake):
    found = evaluate(lake, "mean_squared_error", output=lake / "out", group_by="g", bootstrap=9)
    rows = pq.read_table(lake / "out").to_pylist()
    assert [(r["group"], r["overall"], r["metric"]) for r in rows] == [
        (None, True, "mean_squared_error"), (None, False, "mean_squared_error"),
        ("a", False, "mean_squared_error"), ("b b", False, "mean_squared_error"),
    ]  # fmt: skip
    assert rows[0]["value"] == found.metrics["mean_squared_error"]
    assert rows[0]["low"] < rows[0]["high"]
    assert names(lake / "out") == ["_SUCCESS", "_mrmodel", "part-00000.parquet"]
    run = json.loads((lake / "out" / "_mrmodel" / "run.json").read_text())
    assert run["measures"] == found.measures
    assert names(lake) == ["in", "model.py", "out"]


def test_a_vector_has_a_row_per_element(lake):
    metric = "f1_score:task=multiclass,num_classes=3,average=none"
    found = evaluate(lake, metric, label="kind", prediction="digit", output=lake / "out")
    rows = pq.read_table(lake / "out").to_pylist()
    assert [r["element"] for r in rows] == [0, 1, 2]
    assert [r["value"] for r in rows] == found.metrics["f1_score"]


def test_bad_rows_are_told_and_can_be_accepted(lake, table):
    bad = pa.table({"x": [99.0, 1.0], "truth": [1.0, None], "kind": [0, 0], "g": ["a", "a"]})
    pq.write_table(bad.cast(table.schema), lake / "in" / "4.parquet")
    with pytest.raises(TooManyBadRowsError) as raised:
        evaluate(lake, "mean_squared_error", output=lake / "out")
    assert raised.value.run.rows["bad"] == 2
    letters = helpers.bad(lake / "out")
    assert sorted((b["error"], b["row"]) for b in letters) == [("NullInput", 1), ("ValueError", 0)]
    assert "null in input column 'truth'" in next(
        b["message"] for b in letters if b["error"] == "NullInput"
    )
    found = evaluate(lake, "mean_squared_error", output=lake / "out", resume=True, max_bad="2")
    assert found.metrics["mean_squared_error"] == pytest.approx(
        expected(MeanSquaredError(), table), rel=1e-5
    )
    assert (lake / "out" / "_SUCCESS").exists()


def test_resume_predicts_only_the_rest(lake):
    code = MODEL.replace(
        "def predict(self, batch):",
        "def predict(self, batch):\n"
        "            here = pathlib.Path(__file__).parent\n"
        "            with (here / 'seen').open('a') as file:\n"
        "                file.writelines(f'{x}\\n' for x in batch['x'].tolist())\n"
        "            if len(batch['x']) == 300 and not (here / 'mended').exists():\n"
        "                return {'y': [1.0]}",
    )
    model(lake, code)
    options = {"output": lake / "out", "shard_size": "1", "batch_size": 4096}
    with pytest.raises(ModelOutputError):
        evaluate(lake, "mean_squared_error", **options)
    (lake / "mended").touch()
    helpers.seen(lake)
    found = evaluate(lake, "mean_squared_error", resume=True, **options)
    assert len(helpers.seen(lake)) == 300
    assert found.measures[0]["rows"] == ROWS


def test_other_metrics_are_not_resumed_from(lake):
    evaluate(lake, "mean_squared_error", output=lake / "out")
    found = evaluate(lake, "mean_absolute_error", output=lake / "out", resume=True)
    assert list(found.metrics) == ["mean_absolute_error"]
    assert found.kept == 0


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_a_metric_of_the_users_own(lake, table, runner):
    (lake / "own metric").mkdir()
    (lake / "own metric" / "off.py").write_text(
        "def off(predictions, labels):\n    return (predictions - labels).abs()\n"
    )
    name = f"{lake}/own metric/off.py:off"
    found = evaluate(lake, name, runner=runner, workers=2)
    x, y = table["x"].to_numpy(), table["truth"].to_numpy()
    assert found.metrics[name] == pytest.approx(np.abs(2 * x - y).mean(), rel=1e-6)


def test_nothing_to_measure(tmp_path):
    (tmp_path / "in").mkdir()
    found = mrmodel.evaluate(
        model(tmp_path, MODEL), tmp_path / "in", label="y", metrics="mean_squared_error",
        prediction="y", output=tmp_path / "out",
    )  # fmt: skip
    assert (found.rows["in"], found.metrics) == (0, {})
    assert pq.read_table(tmp_path / "out").num_rows == 0


def test_what_is_wrong_is_named_before_anything_runs(lake):
    with pytest.raises(UsageError, match="expected a metric of torchmetrics"):
        evaluate(lake, "no_such_metric")
    with pytest.raises(InputError, match=r"'nix'.*kind"):
        evaluate(lake, "mean_squared_error", label="nix")
    assert names(lake) == ["in", "model.py"]


def test_several_predictions_must_be_told_apart(lake):
    with pytest.raises(ModelOutputError, match="several columns: name one of y, digit with --pred"):
        evaluate(lake, "mean_squared_error", prediction=None)
    with pytest.raises(ModelOutputError, match="no column 'z': name one of y, digit"):
        evaluate(lake, "mean_squared_error", prediction="z")


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_what_a_metric_refuses_ends_the_job_with_its_words(lake, runner):
    metric = "accuracy:task=multiclass,num_classes=2"
    with pytest.raises(MetricError, match="hold class 2, but there are 2 classes, 0 to 1"):
        evaluate(lake, metric, label="kind", prediction="digit", runner=runner, workers=2)
    assert names(lake) == ["in", "model.py"]


def test_what_reducers_made_for_an_earlier_run_does_not_count(lake):
    """It may have had other groups."""
    staging = helpers.staging(lake / "out")
    # made by hand: what a killed driver leaves
    found = evaluate(lake, "mean_squared_error", output=lake / "first", group_by="g")
    (staging / "reduced").mkdir(parents=True)
    measure = {**found.measures[2], "group": "gone", "rows": 7}
    (staging / "reduced" / ("ab" * 16)).write_text(json.dumps(measure))
    identity = json.loads((lake / "first" / "_mrmodel" / "run.json").read_text())["identity"]
    (staging / "identity.json").write_text(json.dumps(identity))
    run = evaluate(lake, "mean_squared_error", output=lake / "out", group_by="g", resume=True)
    assert run.measures == found.measures
