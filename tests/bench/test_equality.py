"""scripts/bench equal: one part of the real thing, and what it says of answers that differ."""

import argparse

import pytest
import torch
from _bench import equality, equality_commands
from _bench.equality import Found


def arguments(folder, *words):
    parser = argparse.ArgumentParser()
    equality_commands.add_equal(parser.add_subparsers())
    return parser.parse_args(["equal", "--work", str(folder), *words])


def test_metrics_are_those_of_torchmetrics(tmp_path, capsys):
    options = arguments(tmp_path, "--parts", "evaluate")
    assert options.run(options) == 0
    told = capsys.readouterr().out
    assert told.count("| torchmetrics, one process |") == len(
        [*equality.METRICS, *equality.REGRESSION]
    )
    assert "NOT EQUAL" not in told


def test_answers_that_differ_are_told(tmp_path, capsys, monkeypatch):
    found = [Found("a", "b", 1e-3, 1e-4, 2e-7), Found("c", "d", 0.0, 0.0)]
    monkeypatch.setattr(equality, "jobs", lambda folder: iter(found))
    options = arguments(tmp_path, "--parts", "jobs")
    assert options.run(options) == 1
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [cell.strip() for cell in rows[0].split("|")[3:7]] == [
        "1.0e-03", "1e-04", "2.0e-07", "NOT EQUAL",
    ]  # fmt: skip
    assert [cell.strip() for cell in rows[1].split("|")[3:7]] == [
        "0 (the same bits)", "0", "–", "equal",
    ]  # fmt: skip


def test_a_difference_is_a_share_of_the_tensors_largest():
    one = {"w": torch.tensor([1.0, -4.0]), "b": torch.tensor([1e-3])}
    other = {"w": torch.tensor([1.5, -4.0]), "b": torch.tensor([1e-3])}
    assert equality.relative(other, one) == pytest.approx(0.5 / 4)


def test_gradients_of_one_problem(tmp_path, monkeypatch):
    """Files are uneven, and one is empty."""
    one = {"diabetes": equality.problems()["diabetes"]}
    monkeypatch.setattr(equality, "problems", lambda: one)
    monkeypatch.setattr(equality, "ROUNDS", {"sgd": 2})
    found = list(equality.gradients(str(tmp_path), "inline"))
    assert len(found) == 2 and all(one.holds for one in found)
    assert 0 < found[0].difference < 1e-12 < found[1].difference
