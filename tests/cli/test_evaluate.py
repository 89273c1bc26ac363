"""`mrmodel evaluate`: what people see, and what scripts can rely on."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.cli.main import main
from tests.driver.helpers import model, names

MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def predict(self, batch):
            if (batch["x"] < 0).any():
                raise ValueError("negative")
            print("printed by the model")
            return {"y": batch["x"] * 2}
"""


@pytest.fixture
def lake(tmp_path):
    table = pa.table({"x": [1.0, 2.0, 3.0], "truth": [2.0, 4.0, 7.0], "g": ["a", "a", "b"]})
    pq.write_table(table, tmp_path / "in.parquet")
    model(tmp_path, MODEL)
    return tmp_path


@pytest.fixture
def evaluate(lake, capfd):
    """Run the command: (code, out, err)."""

    def run(*options):
        words = ["evaluate", f"{lake}/model.py:Model", lake / "in.parquet"]
        code = main([str(word) for word in [*words, *options]])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


MSE = ("--label", "truth", "--metric", "mean_squared_error")


def test_a_table(evaluate, lake):
    code, out, err = evaluate(*MSE, "--group-by", "g", "--metric", "mean_absolute_error")
    assert code == 0
    lines = out.splitlines()
    assert [line.split() for line in lines[:7]] == [
        ["group", "rows", "metric", "value"],
        ["(all)", "3", "mean_squared_error", "0.333333"],
        ["(all)", "3", "mean_absolute_error", "0.333333"],
        ["a", "2", "mean_squared_error", "0"],
        ["a", "2", "mean_absolute_error", "0"],
        ["b", "1", "mean_squared_error", "1"],
        ["b", "1", "mean_absolute_error", "1"],
    ]
    assert lines[7] == "rows           3 in = 3 ok + 0 bad"
    assert not any(line.startswith("output") for line in lines)
    assert "printed by the model" not in out
    assert names(lake) == ["in.parquet", "model.py"]


def test_json(evaluate):
    code, out, _ = evaluate(*MSE, "--json")
    assert code == 0
    assert json.loads(out) == {
        "metrics": {"mean_squared_error": pytest.approx(1 / 3)},
        "rows": {"in": 3, "ok": 3, "bad": 0},
    }


def test_json_of_groups_and_intervals(evaluate):
    _, out, _ = evaluate(*MSE, "--json", "--group-by", "g", "--bootstrap", "5")
    told = json.loads(out)
    assert [(g["group"], g["rows"]) for g in told["groups"]] == [("a", 2), ("b", 1)]
    assert told["groups"][1]["metrics"] == {"mean_squared_error": 1.0}
    low, high = told["intervals"]["mean_squared_error"]
    assert low <= high


def test_resamples_of_shards(evaluate, lake):
    code, out, err = evaluate(*MSE, "--bootstrap", "5", "--resample", "shards")
    assert (code, out) == (2, "")
    assert "Error: --resample shards: the input is one shard" in err
    table = pa.table({"x": [1.0], "truth": [2.5], "g": ["a"]})
    pq.write_table(table, lake / "more.parquet")
    code, out, err = evaluate(lake / "more.parquet", *MSE, "--bootstrap", "5", "--resample",
                              "shards", "--shard-size", "1", "--group-by", "g")  # fmt: skip
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:3] == ["(all)", "4", "mean_squared_error"] and "to" in lines[1]
    assert lines[3][-3:] == ["–", "to", "–"]  # b is in one shard alone
    assert "mrmodel: --resample shards: the intervals come from 2 shards" in err
    assert "mrmodel: --resample shards: fewer than 10 shards have rows of b: such" in err


def test_two_metrics_of_one_name(evaluate):
    _, out, _ = evaluate(*MSE, "--metric", "mean_squared_error:squared=false", "--json")
    assert list(json.loads(out)["metrics"]) == [
        "mean_squared_error", "mean_squared_error:squared=false",
    ]  # fmt: skip


def test_an_output(evaluate, lake):
    code, out, _ = evaluate(*MSE, "-o", lake / "out")
    assert code == 0
    assert f"output         {lake}/out" in out
    assert pq.read_table(lake / "out")["value"].to_pylist() == [pytest.approx(1 / 3)]
    code, out, err = evaluate(*MSE, "-o", lake / "out")
    assert (code, out) == (2, "")
    assert "exists already: use --overwrite" in err


def test_more_bad_rows_than_allowed(evaluate, lake):
    table = pa.table({"x": [-1.0, 2.0], "truth": [1.0, 4.0], "g": ["a", "a"]})
    pq.write_table(table, lake / "in.parquet")
    code, out, err = evaluate(*MSE)
    assert code == 3
    assert out.splitlines()[1].split() == ["1", "mean_squared_error", "0"]
    assert "Error: 1 of 2 rows are bad" in err
    assert evaluate(*MSE, "--max-bad", "50%", "-q")[0] == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--metric", "mean_squared_error"], "Missing option '--label'"),
        (["--label", "truth"], "Missing option '--metric'"),
        (["--label", "truth", "--metric", "nix"], "--metric nix: expected a metric of torch"),
        (["--label", "no", "--metric", "mean_squared_error"], "'no'"),
        ([*MSE, "--prediction", "z"], "no column 'z': name one of y with --prediction"),
    ],
)
def test_what_is_wrong_is_one_line(evaluate, lake, options, text):
    code, out, err = evaluate(*options)
    assert code == (1 if "--prediction" in options else 2)
    assert out == ""
    assert text in err
    assert "Traceback" not in err
    assert names(lake) == ["in.parquet", "model.py"]


def test_a_job_file(lake, capsys):
    (lake / "job.toml").write_text(
        f'command = "evaluate"\nmodel = "{lake}/model.py:Model"\ninput = "{lake}/in.parquet"\n'
        'label = "truth"\nmetric = ["mean_squared_error"]\njson = true\n'
    )
    assert main(["run", str(lake / "job.toml")]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == {
        "mean_squared_error": pytest.approx(1 / 3)
    }
