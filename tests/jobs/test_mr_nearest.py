"""jobs/mr_nearest.py against a search by brute force, over scikit-learn's digits."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.jobs.test_mr_gradients import results, start, write_parts

QUERIES = 20


def json_lines(ids, vectors):
    rows = zip(ids, np.asarray(vectors, dtype=float).tolist(), strict=True)
    return [json.dumps({"id": name, "vector": vector}) for name, vector in rows]


@pytest.fixture(scope="module")
def digits():
    """Queries and what is searched."""
    data = load_digits().data
    return data[:QUERIES], data[QUERIES:]


@pytest.fixture
def files(digits, tmp_path):
    return write_files(tmp_path, *digits)


def write_files(folder, queries, rows):
    """The arguments that name them."""
    names = [f"query {number}" for number in range(len(queries))]
    (folder / "queries.jsonl").write_text("\n".join(json_lines(names, queries)))
    write_parts(folder / "in", json_lines(range(len(rows)), rows))
    return ["--queries", folder / "queries.jsonl", folder / "in"]


def brute_force(queries, rows, k):
    """Each query's ids and cosines, sorted by all pairs; none is kept out on the way."""
    found = []
    for query in queries:
        cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        order = np.lexsort([np.arange(len(rows)), -cosines.round(9)])[:k]
        found.append([(int(row), cosines[row]) for row in order])
    return found


def assert_same(found, wanted):
    assert [row for row, _ in found] == [row for row, _ in wanted]
    assert [cosine for _, cosine in found] == pytest.approx([c for _, c in wanted], abs=1e-9)


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_neighbours_are_those_of_brute_force(runner, digits, files):
    found = dict(results("mr_nearest.py", "-r", runner, "--k", 7, *files))
    assert len(found) == QUERIES
    for number, wanted in enumerate(brute_force(*digits, 7)):
        assert_same(found[f"query {number}"], wanted)


def test_equal_rows_are_ordered_by_id(tmp_path, digits):
    """Sixty multiples of the query, whose cosines differ in the last bits: the smallest ids win."""
    rows = digits[1].copy()
    rng = np.random.default_rng(0)
    copies = np.sort(rng.choice(len(rows), 60, replace=False))
    rows[copies] = np.outer(rng.uniform(0.1, 10, size=60), digits[0][0])
    files = write_files(tmp_path, digits[0][:1], rows)
    ((_, found),) = results("mr_nearest.py", "--k", 50, *files)
    assert found == [[row, 1.0] for row in copies[:50].tolist()]


def test_fewer_rows_than_k(tmp_path, digits):
    files = write_files(tmp_path, digits[0][:1], digits[1][:3])
    ((_, found),) = results("mr_nearest.py", *files)
    assert_same(found, brute_force(digits[0][:1], digits[1][:3], 10)[0])
    assert len(found) == 3


def test_queries_of_one_id_are_kept_apart(digits, tmp_path):
    (tmp_path / "queries.jsonl").write_text("\n".join(json_lines(["q", "q"], digits[0][:2])))
    write_parts(tmp_path / "in", json_lines(range(len(digits[1])), digits[1]))
    files = ["--queries", tmp_path / "queries.jsonl", tmp_path / "in"]
    found = results("mr_nearest.py", "--k", 3, *files)
    assert [name for name, _ in found] == ["q", "q"]
    for (_, pairs), wanted in zip(found, brute_force(digits[0][:2], digits[1], 3), strict=True):
        assert_same(pairs, wanted)


def test_zero_vector_is_near_to_nothing(tmp_path):
    files = write_files(tmp_path, [[1, 0]], [[0, 0], [-1, 0], [1, 1], [0, 0]])
    ((_, found),) = results("mr_nearest.py", *files)
    assert found == [[2, pytest.approx(0.5**0.5)], [0, 0.0], [3, 0.0], [1, -1.0]]


def test_queries_are_asked_for(tmp_path):
    done = start("mr_nearest.py", tmp_path)
    assert done.returncode == 2
    assert "expected --queries FILE" in done.stderr
