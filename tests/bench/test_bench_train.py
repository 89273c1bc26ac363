"""scripts/bench train: figures from runs, and one run of the real thing in small."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from _bench import adding, train_report, training
from _bench.adding import Added
from _bench.training import Trained

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


def trained(system, first=3.0, steady=10.0, end=1.0, stepping=10.0, cpu=20.0):
    return Trained(system, 1000, 6, first, steady, end, stepping, cpu, 0.0, "weights")


def test_steady_rows_are_those_after_the_first_epoch():
    run = trained("local", first=100.0, steady=4.0)
    assert run.rows_per_second == 1000 * 5 / 4.0
    assert run.wall == 105.0


def test_ratios_are_taken_inside_a_repeat():
    runs = [
        trained("local", steady=20.0, stepping=15.0),
        trained("torchrun", steady=10.0),
        trained("torchrun", steady=30.0),
        trained("local", steady=20.0, stepping=15.0),
    ]
    assert train_report.ratios(runs, "local", "steady") == [0.5, 1.5]
    told = train_report.gang_tables(runs, {"local": True})
    assert "1.000 (0.500 to 1.500)" in told
    assert "≥ 0.95 steady: reached" in told and "the same bits" in told
    assert "| 0.750" in told  # what is left of the steady seconds without checkpoints


def test_a_goal_that_is_not_reached_says_so():
    runs = [trained("torchrun", steady=9.4), trained("local", steady=10.0)]
    told = train_report.gang_tables(runs, {"local": False})
    assert "≥ 0.95 steady: not reached" in told and "differ" in told


def test_phases_are_medians_of_rounds():
    seconds = [1.0, 2.0, 9.0]
    found = [{"phases": {"map": s, "step": 1.0}, "task_seconds": {"read": s / 2}} for s in seconds]
    lines = train_report.phase_table({"local": found, "hadoop": found[2:]}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    assert cells[0] == ["a round", "sum", "map", "step"]
    assert cells[2:4] == [
        ["local", "3.00", "2.000", "1.000"],
        ["hadoop", "10.00", "9.000", "1.000"],
    ]
    assert cells[4] == ["tasks' seconds", "sum", "read"]
    assert cells[6] == ["local", "1.00", "1.000"]


def test_adding_is_told_next_to_copying():
    runs = [Added(4, 4 << 23, 0.02, 0.005), Added(4, 4 << 23, 0.01, 0.005)]
    told = train_report.adding_table(runs)
    assert "4 buckets of 8 MiB" in told and "0.375 (0.250 to 0.500)" in told
    assert "6.71" in told  # GB/s of a copy


def test_adding_is_measured():
    found = adding.measure(3, bucket_bytes=1 << 16, times=2)
    assert (found.shards, found.nbytes) == (3, 3 * ((1 << 16) + 3))
    assert found.add > 0 and found.copy > 0


def test_every_worker_gets_a_file_of_the_same_length(tmp_path):
    data = training.write_rows(1001, 2, tmp_path)
    assert data.rows == 1000
    assert len({path.stat().st_size for path in data.files}) == 1
    tables = [pq.read_table(path) for path in data.files]
    assert [table.num_rows for table in tables] == [500, 500]
    features = np.stack(tables[0]["features"].to_numpy())
    assert (features[:, :10].argmax(1) == tables[0]["label"].to_numpy()).all()


def test_weights_are_compared_bit_by_bit(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    safetensors.torch.save_file({"w": torch.ones(3)}, one)
    safetensors.torch.save_file({"w": torch.ones(3)}, two)
    assert training.same_bits(one, two)
    safetensors.torch.save_file({"w": torch.tensor([1.0, 1.0, 1.0000001])}, two)
    assert not training.same_bits(one, two)


def test_torchrun_and_the_gang_come_to_the_same_weights(tmp_path):
    figures = tmp_path / "figures.json"
    words = "--parts allreduce,phases --rows 2000 --hidden 32 --epochs 3 --rounds 1 --repeat 1"
    done = subprocess.run(
        [sys.executable, SCRIPT, "train", *words.split(), "--json", str(figures)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "local ÷ torchrun" in done.stdout and "the same bits" in done.stdout
    found = json.loads(figures.read_text())
    assert found["same"] == {"local": True}
    assert [run["system"] for run in found["gangs"]] == ["torchrun", "local"]
    for run in found["gangs"]:
        assert (run["rows"], run["epochs"]) == (2000, 3)
        assert min(run["first"], run["steady"], run["end"], run["stepping"]) > 0
        assert run["stepping"] <= run["steady"]
    assert found["rounds"]["local"][0]["phases"]["reduce"] > 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--parts all", "expected some of allreduce, phases, adding but received 'all'"),
        ("--epochs 1", "--epochs 1: expected 2 at least: the first one is not counted"),
    ],
)
def test_wrong_usage(words, text):
    done = subprocess.run(
        [sys.executable, SCRIPT, "train", *words.split()], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert text in done.stderr
