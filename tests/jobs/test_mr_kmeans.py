"""jobs/mr_kmeans.py against scikit-learn's k-means from the same start, on its digits."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from tests.jobs.test_mr_gradients import csv_lines, run_job, start, write_parts


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.fixture
def begun(digits, tmp_path):
    """A folder with the rows in files, and centres.csv with the first ten of them."""
    write_parts(tmp_path / "in", csv_lines(digits))
    np.savetxt(tmp_path / "centres.csv", digits[:10], delimiter=",")
    return tmp_path


def run(folder, *options):
    """The centres found, and the moves that were printed."""
    centres = folder / "centres.csv"
    printed = run_job("mr_kmeans.py", *options, "--centres", centres, folder / "in")
    moves = [float(line.rsplit(" ", 1)[1]) for line in printed.splitlines()]
    return np.loadtxt(centres, delimiter=",", ndmin=2), moves


def sklearn_centres(rows, first, rounds=300):
    settings = {"n_init": 1, "algorithm": "lloyd", "tol": 0, "max_iter": rounds}
    return KMeans(len(first), init=first, **settings).fit(rows).cluster_centers_


def test_centres_are_scikit_learns(begun, digits):
    found, moves = run(begun, "--tolerance", 0)
    assert len(moves) > 5 and moves[-1] == 0
    np.testing.assert_allclose(found, sklearn_centres(digits, digits[:10]), atol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rounds_on_many_processes(begun, digits):
    found, moves = run(begun, "-r", "local", "--rounds", 2)
    assert len(moves) == 2
    np.testing.assert_allclose(found, sklearn_centres(digits, digits[:10], rounds=2), atol=1e-10)


def test_a_second_run_goes_on_where_the_first_stopped(begun):
    once, moves = run(begun, "--rounds", 4)
    (begun / "centres.csv").write_text("\n".join(csv_lines(load_digits().data[:10])))
    _, first = run(begun, "--rounds", 1)
    twice, second = run(begun, "--rounds", 3)
    assert first + second == moves
    np.testing.assert_array_equal(twice, once)


def test_tolerance_ends_the_rounds(begun):
    _, moves = run(begun, "--tolerance", 5)
    assert len(moves) > 1
    assert min(moves[:-1]) > 5 >= moves[-1]


def test_centre_without_rows_stays(digits, tmp_path):
    write_parts(tmp_path / "in", csv_lines(digits))
    far = np.full(64, 1e4)
    np.savetxt(tmp_path / "centres.csv", [digits[0], far], delimiter=",")
    found, _ = run(tmp_path)
    np.testing.assert_allclose(found[0], digits.mean(0), rtol=1e-12)
    np.testing.assert_array_equal(found[1], far)


@pytest.mark.parametrize("arguments", [["in"], ["--centres", "centres.csv"]])
def test_centres_and_files_are_asked_for(arguments):
    done = start("mr_kmeans.py", *arguments)
    assert done.returncode == 2
    assert "expected --centres FILE and input files" in done.stderr


def test_failed_round_keeps_the_centres(begun):
    before = (begun / "centres.csv").read_text()
    (begun / "in" / "d.txt").write_text("no,numbers\n")
    done = start("mr_kmeans.py", "--centres", begun / "centres.csv", begun / "in")
    assert done.returncode == 1
    assert (begun / "centres.csv").read_text() == before
