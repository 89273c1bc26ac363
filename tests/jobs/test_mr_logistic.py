"""jobs/mr_logistic.py against scikit-learn's logistic regression, on its breast cancer set."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.jobs.test_mr_gradients import csv_lines, run_job, start, write_parts


@pytest.fixture(scope="module")
def cancer():
    """Standardised inputs, and targets."""
    inputs, targets = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(inputs), targets


@pytest.fixture
def begun(cancer, tmp_path):
    """A folder with the rows in files, and weights.csv with zeros."""
    write_parts(tmp_path / "in", csv_lines(np.column_stack(cancer)))
    np.savetxt(tmp_path / "weights.csv", np.zeros(31))
    return tmp_path


def run(folder, *options):
    """The weights found, and the sizes of the steps that were printed."""
    weights = folder / "weights.csv"
    printed = run_job("mr_logistic.py", *options, "--weights", weights, folder / "in")
    return np.loadtxt(weights), [float(line.rsplit(" ", 1)[1]) for line in printed.splitlines()]


def sklearn_weights(inputs, targets, l2):
    model = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-12).fit(inputs, targets)
    return np.append(model.coef_, model.intercept_)


@pytest.mark.parametrize("l2", [10.0, 1.0, 0.1])
def test_weights_are_scikit_learns(begun, cancer, l2):
    found, steps = run(begun, "--l2", l2, "--tolerance", 1e-6)
    assert 3 < len(steps) < 12  # Newton's method doubles the digits with each step
    np.testing.assert_allclose(found, sklearn_weights(*cancer, l2), atol=1e-8)


def test_steps_on_many_processes(begun, cancer):
    weights = sklearn_weights(*cancer, 1.0)
    np.savetxt(begun / "weights.csv", weights.round(2))  # near the end: a step takes seconds here
    found, steps = run(begun, "-r", "local", "--tolerance", 1e-3)
    assert len(steps) == 2 and 1e-3 < steps[0] < 0.1
    np.testing.assert_allclose(found, weights, atol=1e-8)


def test_default_is_scikit_learns(begun, cancer):
    found, _ = run(begun)
    model = LogisticRegression(tol=1e-8, max_iter=1000).fit(*cancer)
    np.testing.assert_allclose(found, np.append(model.coef_, model.intercept_), atol=1e-4)


def test_gradient_at_the_end_is_zero(begun, cancer):
    found, _ = run(begun, "--l2", 2)
    inputs = np.column_stack([cancer[0], np.ones(len(cancer[0]))])
    errors = 1 / (1 + np.exp(-inputs @ found)) - cancer[1]
    assert abs(inputs.T @ errors + 2 * np.append(found[:-1], 0)).max() < 1e-9


def test_start_is_taken_from_the_file(begun, cancer):
    weights = sklearn_weights(*cancer, 1.0)
    np.savetxt(begun / "weights.csv", [weights], delimiter=",")  # a line, as sed makes it
    found, steps = run(begun)
    assert len(steps) <= 2 and steps[0] < 1e-6
    np.testing.assert_allclose(found, weights, atol=1e-8)


def test_no_end_is_a_failure(begun):
    done = start("mr_logistic.py", "--rounds", 2, "--weights", begun / "weights.csv", begun / "in")
    assert done.returncode == 1
    assert "no end after 2 steps" in done.stderr


@pytest.mark.parametrize("arguments", [["in"], ["--weights", "weights.csv"]])
def test_weights_and_files_are_asked_for(arguments):
    done = start("mr_logistic.py", *arguments)
    assert done.returncode == 2
    assert "expected --weights FILE and input files" in done.stderr
