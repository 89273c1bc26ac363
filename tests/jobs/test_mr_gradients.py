"""jobs/mr_gradients.py against the gradient in closed form, on the runners that need no cluster."""

import functools
import itertools
import json
import operator
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

JOBS = Path(__file__).parents[2] / "jobs"


def start(name, *args):
    """A job of jobs/, run to its end, whatever that is."""
    command = [sys.executable, str(JOBS / name), "--no-conf", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def run_job(name, *args):
    """What the job printed, once it has succeeded."""
    done = start(name, "--quiet", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(name, *args):
    """The job's output lines as (key, value)."""
    return [tuple(map(json.loads, line.split("\t"))) for line in run_job(name, *args).splitlines()]


def write_parts(folder, lines):
    """The lines in three uneven files, one of them empty; the folder is new."""
    folder.mkdir()
    cut = len(lines) // 7
    for name, part in {"a": lines[:cut], "b": [], "c": lines[cut:]}.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in part))
    return folder


def csv_lines(rows):
    """repr: a float is read back as it was."""
    return [",".join(map(repr, row)) for row in np.asarray(rows, dtype=float).tolist()]


@pytest.fixture(scope="module")
def diabetes():
    inputs, targets = load_diabetes(return_X_y=True)
    return np.column_stack([inputs, targets])


@pytest.fixture
def weights(tmp_path):
    """Eleven, and their file."""
    found = np.random.default_rng(0).normal(size=11) * 50
    (tmp_path / "weights.json").write_text(json.dumps(found.tolist()))
    return found, tmp_path / "weights.json"


def closed_form(rows, weights):
    """Gradient and loss by the formula, in one product over all rows."""
    inputs = np.column_stack([rows[:, :-1], np.ones(len(rows))])
    errors = inputs @ weights - rows[:, -1]
    return 2 * inputs.T @ errors, errors @ errors


def assert_is_closed_form(found, rows, weights):
    """To 1e-12 of the largest number in the gradient: sums of 442 terms in another order."""
    gradient, loss = closed_form(rows, weights)
    assert found["rows"] == len(rows)
    assert found["loss"] == pytest.approx(loss, rel=1e-12)
    assert found["gradient"] == pytest.approx(gradient, abs=1e-12 * abs(gradient).max())


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_gradient_is_that_of_all_rows(runner, diabetes, weights, tmp_path):
    folder = write_parts(tmp_path / "in", csv_lines(diabetes))
    ((_, found),) = results("mr_gradients.py", "-r", runner, "--weights", weights[1], folder)
    assert_is_closed_form(found, diabetes, weights[0])


def test_more_rows_than_a_batch(diabetes, weights, tmp_path):
    many = np.tile(diabetes, (7, 1))  # 3094 rows, with batches of 1024
    folder = write_parts(tmp_path / "in", csv_lines(many))
    ((_, found),) = results("mr_gradients.py", "--weights", weights[1], folder)
    assert_is_closed_form(found, many, weights[0])


def test_gradient_is_zero_at_the_solution(diabetes, tmp_path):
    inputs = np.column_stack([diabetes[:, :-1], np.ones(len(diabetes))])
    best = np.linalg.lstsq(inputs, diabetes[:, -1])[0]
    (tmp_path / "best.json").write_text(json.dumps(best.tolist()))
    folder = write_parts(tmp_path / "in", csv_lines(diabetes))
    ((_, found),) = results("mr_gradients.py", "--weights", tmp_path / "best.json", folder)
    assert max(map(abs, found["gradient"])) < 1e-7  # of sums of some 30,000


def test_order_of_the_mappers_changes_no_bit(weights, monkeypatch):
    monkeypatch.syspath_prepend(JOBS)
    from mr_gradients import MRGradients

    job = MRGradients(["--weights", str(weights[1])])
    sums = [[0.1, 1.0, 3], [1e16, 2.0, 4], [-1e16, 0.3, 5], [0.7, 1e-9, 1]]
    orders = list(itertools.permutations(sums))
    # it could (sum() of Python 3.12 and later makes up for what rounding takes)
    assert len({functools.reduce(operator.add, (v[0] for v in order)) for order in orders}) > 1
    assert len({json.dumps(list(job.reducer(None, iter(order)))) for order in orders}) == 1


def test_weights_are_asked_for(tmp_path):
    done = start("mr_gradients.py", tmp_path)
    assert done.returncode == 2
    assert "expected --weights FILE" in done.stderr


def test_wrong_number_of_weights_fails(diabetes, tmp_path):
    (tmp_path / "few.json").write_text("[1.0, 2.0]")
    folder = write_parts(tmp_path / "in", csv_lines(diabetes))
    done = start("mr_gradients.py", "--weights", tmp_path / "few.json", folder)
    assert done.returncode == 1
    assert done.stdout == ""
