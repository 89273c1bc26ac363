"""Rows that belong together become one: equal to doing it by hand, however they are cut."""

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.errors import ModelOutputError, UsageError
from mrmodel.tensors.aggregation import Aggregation, finish, parse_aggregation, shrink

ROWS = 60
CUTS = ([0, ROWS], [0, 1, 20, 59, ROWS])


@pytest.fixture
def table():
    random = np.random.default_rng(4)
    vectors = random.normal(size=(ROWS, 3)).astype(np.float32)
    tokens = [list(range(n % 4)) for n in range(ROWS)]
    return pa.table(
        {
            "doc": random.choice(["b", "a", "ü"], ROWS),
            "title": [f"t{n}" for n in range(ROWS)],
            "v": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3),
            "s": random.permutation(ROWS).astype(np.float64),
            "c": random.integers(0, 3, ROWS),
            "t": pa.array(tokens),
        }
    )


def aggregated(table, text, cuts, keep=("title",)):
    how = parse_aggregation(text)
    pieces = [table.slice(a, b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
    found = finish([shrink(p, how, "doc", keep) for p in pieces], how, "doc", keep)
    return found.to_pylist()


def groups(table):
    rows = table.to_pylist()
    return {doc: [r for r in rows if r["doc"] == doc] for doc in sorted({r["doc"] for r in rows})}


@pytest.mark.parametrize("cuts", CUTS)
def test_mean_and_max(table, cuts):
    numbers = table.select(["doc", "title", "v", "s", "c"])
    for text, function in (("mean", np.mean), ("max", np.max)):
        found = aggregated(numbers, text, cuts)
        for row, (doc, rows) in zip(found, groups(numbers).items(), strict=True):
            assert (row["doc"], row["title"]) == (doc, rows[0]["title"])
            assert row["rows"] == len(rows)
            for name in ("v", "s", "c"):
                expected = function([r[name] for r in rows], axis=0)
                np.testing.assert_allclose(row[name], expected, rtol=1e-6, atol=1e-7)


def test_types(table):
    numbers = table.select(["doc", "v", "c"])
    how = Aggregation("mean")
    mean = finish([shrink(numbers, how, "doc", ())], how, "doc", ())
    assert mean.schema.field("v").type == pa.list_(pa.float32(), 3)
    assert mean.schema.field("c").type == pa.float64()
    how = Aggregation("max")
    greatest = finish([shrink(numbers, how, "doc", ())], how, "doc", ())
    assert greatest.schema.field("c").type == pa.int64()


@pytest.mark.parametrize("cuts", CUTS)
def test_vote(table, cuts):
    found = aggregated(table.select(["doc", "title", "v", "c"]), "vote", cuts)
    for row, rows in zip(found, groups(table).values(), strict=True):
        assert row["c"] == np.bincount([r["c"] for r in rows]).argmax()
        assert row["v"] == np.bincount([np.argmax(r["v"]) for r in rows]).argmax()
        assert row["rows"] == len(rows)


def test_of_as_many_votes_the_smallest_wins():
    votes = pa.table({"doc": [1, 1, 1, 1, 2], "answer": ["b", "a", "b", "a", None]})
    how = Aggregation("vote")
    found = finish([shrink(votes, how, "doc", ())], how, "doc", ()).to_pylist()
    assert [(r["answer"], r["rows"]) for r in found] == [("a", 4), (None, 1)]


@pytest.mark.parametrize("cuts", CUTS)
def test_concat(table, cuts):
    found = aggregated(table, "concat", cuts)
    for row, rows in zip(found, groups(table).values(), strict=True):
        assert row["t"] == [token for r in rows for token in r["t"]]
        assert row["s"] == [r["s"] for r in rows]
        assert row["v"] == [r["v"] for r in rows]


@pytest.mark.parametrize("cuts", CUTS)
def test_topk(table, cuts):
    found = aggregated(table, "topk:3:s", cuts)
    expected = [
        {**row, "rank": rank}
        for rows in groups(table).values()
        for rank, row in enumerate(sorted(rows, key=lambda r: -r["s"])[:3], 1)
    ]
    assert found == expected


def test_topk_needs_to_know_by_what(table):
    one = table.select(["doc", "title", "s", "t"])
    assert aggregated(one, "topk:1", [0, ROWS]) == aggregated(one, "topk:1:s", [0, ROWS])
    with pytest.raises(ModelOutputError, match=r"one output column of single .* s \(double\), c"):
        aggregated(table, "topk:1", [0, ROWS])
    with pytest.raises(ModelOutputError, match="there is no output 'nix' to go by"):
        aggregated(table, "topk:1:nix", [0, ROWS])


def test_rows_without_a_group_are_one(table):
    nulls = pa.table({"doc": pa.array([None, "a", None]), "s": [1.0, 2.0, 5.0]})
    how = Aggregation("mean")
    found = finish([shrink(nulls, how, "doc", ())], how, "doc", ()).to_pylist()
    assert found == [{"doc": "a", "s": 2.0, "rows": 1}, {"doc": None, "s": 3.0, "rows": 2}]


def test_what_cannot_be_aggregated(table):
    with pytest.raises(ModelOutputError, match="mean: output 't' is .*list.*: expected numbers"):
        aggregated(table, "mean", [0, ROWS])
    named = table.rename_columns(["doc", "title", "v", "s", "rows", "t"])
    with pytest.raises(ModelOutputError, match="adds a column 'rows'"):
        aggregated(named, "concat", [0, ROWS])


@pytest.mark.parametrize("text", ["median", "topk", "topk:0", "topk:x", "mean:3", ""])
def test_unknown(text):
    with pytest.raises(UsageError, match="expected mean, max, vote, concat, topk:K"):
        parse_aggregation(text)
