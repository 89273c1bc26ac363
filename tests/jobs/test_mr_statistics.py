"""jobs/mr_statistics.py against numpy, on scikit-learn's sets and on numbers hard to sum."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from tests.jobs.test_mr_gradients import JOBS, results, write_parts

QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def run(folder, rows, *options):
    """column → its statistics."""
    write_parts(folder / "in", [json.dumps(row) for row in rows])
    return dict(results("mr_statistics.py", *options, folder / "in"))


def assert_is_numpys(found, values, nulls=0):
    """All of it: 1e-12 for what is summed, exact for what is not."""
    assert (found["count"], found["nulls"]) == (len(values), nulls)
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-12, abs=1e-15)
    assert found["variance"] == pytest.approx(values.var(), rel=1e-12)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    wanted = np.quantile(values, QUANTILES)
    assert list(found["quantiles"]) == list(map(str, QUANTILES))
    assert list(found["quantiles"].values()) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_every_column_is_numpys(runner, tmp_path):
    data = load_breast_cancer()
    rows = [dict(zip(data.feature_names, row, strict=True)) for row in data.data.tolist()]
    found = run(tmp_path, rows, "-r", runner)
    assert set(found) == set(data.feature_names)
    for name, values in zip(data.feature_names, data.data.T, strict=True):
        assert_is_numpys(found[name], values)


def test_nulls_and_other_values(tmp_path):
    values = load_diabetes().data[:, 2]
    rows = [{"x": x if number % 3 else None, "s": "text"} for number, x in enumerate(values)]
    rows += [{"x": True}, {"x": "7"}, {"x": [1]}, {}, {"none": None}]
    found = run(tmp_path, rows)
    assert_is_numpys(found["x"], values[np.arange(len(values)) % 3 > 0], nulls=148)
    assert found["s"] == {"count": 0, "nulls": 0}
    assert found["none"] == {"count": 0, "nulls": 1}


def test_variance_beside_a_large_mean(tmp_path):
    """Squares of 1e9 have 18 digits: a sum of squares would keep none of the variance.

    What is left is the rounding of the mappers' means, to 1e-7, beside deviations of 0.05.
    """
    values = 1e9 + load_diabetes().data[:, 2]
    squares = np.mean(values**2) - values.mean() ** 2
    assert squares != pytest.approx(values.var(), rel=0.5)
    ((_, found),) = run(tmp_path, [{"x": x} for x in values]).items()
    assert found["variance"] == pytest.approx(values.var(), rel=1e-6)
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-15)


@pytest.fixture(scope="module")
def long():
    """A column of 60,000 rows in order, of which 50,000 are the same: their text is no priority."""
    return np.sort(np.append(np.zeros(50_000), np.random.default_rng(0).exponential(size=10_000)))


def test_quantiles_of_a_long_column(long, tmp_path):
    """A rank is off by more than 5 points once in 500 million runs (DKW, 4000 samples)."""
    found = run(tmp_path, [{"x": x} for x in long.tolist()])["x"]
    assert found["count"] == len(long)
    assert found["variance"] == pytest.approx(long.var(), rel=1e-12)
    for q, value in found["quantiles"].items():
        least, most = (np.searchsorted(long, value, side) / len(long) for side in ("left", "right"))
        assert least - 0.05 < float(q) < most + 0.05
    assert found["quantiles"]["0.99"] > 0.3  # the sample has some of the few that are not zero


def test_same_files_give_the_same_result(long, tmp_path):
    rows = [{"x": x} for x in long.tolist()]
    first = run(tmp_path, rows)
    again = dict(results("mr_statistics.py", tmp_path / "in"))
    assert again == first


def test_order_of_the_mappers_changes_nothing(monkeypatch):
    monkeypatch.syspath_prepend(JOBS)
    from mr_statistics import MRStatistics, merge, part_of

    values = np.random.default_rng(1).normal(size=(3, 3000)).tolist()
    draw = np.random.default_rng(2).random
    parts = [merge([part_of(value, draw()) for value in part]) for part in values]
    job = MRStatistics([])
    found = [
        list(job.reducer("x", iter(order))) for order in (parts, parts[::-1], parts[1:] + parts[:1])
    ]
    assert found[0] == found[1] == found[2]
