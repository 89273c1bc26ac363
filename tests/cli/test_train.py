"""`mrmodel train`: what people see, and what scripts can rely on."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.cli.main import main
from tests.driver.helpers import names

MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        print("printed by the model")
        return self.layer(x)
"""
OPTIONS = ("--inputs", "a,b", "--label", "y", "--loss", "mse", "--lr", "0.1")


@pytest.fixture
def lake(tmp_path):
    numbers = [float(n) for n in range(10)]
    table = pa.table({"a": numbers, "b": numbers[::-1], "y": [n / 9 for n in numbers]})
    pq.write_table(table.slice(0, 8), tmp_path / "in.parquet")
    pq.write_table(table.slice(8), tmp_path / "test.parquet")
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def train(lake, capfd):
    """Run the command: (code, out, err)."""

    def run(*options):
        words = ["train", f"{lake}/net.py:Net", lake / "in.parquet", "-o", lake / "ck", *options]
        code = main([str(word) for word in words])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


def test_rounds_are_told_as_they_come(train, lake):
    code, out, err = train(*OPTIONS, "--rounds", "2", "--validation", lake / "test.parquet",
                           "--lr", "0.01")  # fmt: skip
    assert code == 0, err
    told = [line for line in err.splitlines() if line.startswith("mrmodel: round ")]
    assert [line.split(":")[1] for line in told] == [" round 1/2", " round 2/2"]
    assert "validation" in told[0] and "rows/s" in told[0] and "added up" in told[0]
    assert told[0].endswith(" left") and not told[1].endswith(" left")
    lines = out.splitlines()
    assert lines[0] == "rounds         2"
    assert lines[1].startswith("loss           ") and "best in round" in lines[1]
    assert lines[3] == f"output         {lake}/ck"
    assert "printed by the model" not in out
    assert names(lake) == ["ck", "in.parquet", "net.py", "test.parquet"]


def test_json(train):
    code, out, _ = train(*OPTIONS, "--epochs", "1", "--json")
    told = json.loads(out)
    assert (code, told["rounds"], len(told["history"])) == (0, 1, 1)
    assert told["loss"] == told["history"][0]["loss"]


def test_resume_and_overwrite(train, lake):
    assert train(*OPTIONS, "--rounds", "1", "-q") == (0, "", "printed by the model\n")
    code, out, err = train(*OPTIONS, "--rounds", "2")
    assert (code, out) == (2, "")
    assert "exist already: use --resume" in err
    assert train(*OPTIONS, "--rounds", "2", "-q", "--resume")[0] == 0
    assert "round-000002" in names(lake / "ck")
    code, out, err = train(*OPTIONS, "--rounds", "2", "--resume")
    assert code == 0
    assert "nothing was left to train" in out
    assert train(*OPTIONS, "--rounds", "1", "-q", "--overwrite")[0] == 0
    assert "round-000002" not in names(lake / "ck")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--inputs", "a,b"],
            "has no training_step(batch, batch_idx): give it one, or name a loss",
        ),
        ([*OPTIONS, "--sync", "allreduce", "--workers", "3"], "-r inline runs one worker"),
        ([*OPTIONS, "--optimizer", "nix"], "--optimizer nix: expected one of"),
        ([*OPTIONS, "--batch-size", "x"], "--batch-size: expected a number of rows"),
        ([*OPTIONS, "--min-shards", "3/4"], "--min-shards: expected --sync local but received"),
        ([*OPTIONS, "--sync", "local", "--min-shards", "5/4"], "at most 1, such as 3/4 or 0.75"),
        ([*OPTIONS, "--optimizer-args", "{"], "expected a JSON object"),
    ],
)
def test_what_is_wrong_is_one_line(train, lake, options, text):
    code, out, err = train(*options)
    assert (code, out) == (2, "")
    assert text in err
    assert "Traceback" not in err
    assert names(lake) == ["in.parquet", "net.py", "test.parquet"]


def test_a_job_file(lake):
    (lake / "job.toml").write_text(
        f'command = "train"\nmodel = "{lake}/net.py:Net"\ninput = "{lake}/in.parquet"\n'
        f'output = "{lake}/ck"\ninputs = ["a", "b"]\nlabel = "y"\nloss = "mse"\nlr = 0.01\n'
        "rounds = 1\nquiet = true\n[optimizer-args]\nmomentum = 0.9\n"
    )
    assert main(["run", str(lake / "job.toml")]) == 0
    assert "round-000001" in names(lake / "ck")


def test_what_options_mean_for_training(capsys):
    """And for it alone: commands share them."""
    assert main(["train", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "training stops and exits with 3" in told and "Begin anew" in told
    assert main(["predict", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the job finishes and exits with 3" in told and "Begin anew" not in told
