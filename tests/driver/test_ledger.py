"""The books of a job."""

import pytest

from mrmodel.driver import ledger
from mrmodel.errors import LedgerError
from mrmodel.shards.plan import Plan, Source


def record(uri, start=0, length=100, size=100, rows=(10, 10, 0), errors=()):
    piece = {"uri": uri, "start": start, "length": length, "size": size}
    return {
        "pieces": [piece],
        "rows": dict(zip(("in", "ok", "bad"), rows, strict=True)),
        "errors": {name: {"count": count, "example": text} for name, count, text in errors},
    }


def plan(*sources):
    return Plan("jsonl", None, None, (), tuple(sources), ())


def source(uri, rows=None):
    return Source(uri, 100, rows=rows)


def test_balanced():
    ledger.check(
        plan(source("/a", 10), source("/b", 5)), [record("/a"), record("/b", rows=(5, 4, 1))]
    )


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([record("/a")], "/b: not read"),
        ([record("/a"), record("/b"), record("/b")], "/b: bytes 0 to 100 read more than once"),
        ([record("/a"), record("/b", 0, 40)], "/b: bytes 40 to 100 not read"),
        ([record("/a"), record("/b"), record("/c")], "/c: read, but not part of the input"),
        ([record("/a"), record("/b", size=200)], "100 bytes at planning but 200"),
        ([record("/a"), record("/b", rows=(10, 9, 0))], "20 rows in, but 19 good and 0 bad"),
        ([record("/a"), record("/b", rows=(9, 9, 0))], "20 rows at planning, but 19 were read"),
    ],
)
def test_what_does_not_balance(records, problem):
    with pytest.raises(LedgerError, match=problem) as raised:
        ledger.check(plan(source("/a", 10), source("/b", 10)), records)
    assert "\n" not in raised.value.message


def test_many_problems_are_counted():
    with pytest.raises(LedgerError, match=r"/2: not read \(and 7 more\)"):
        ledger.check(plan(*(source(f"/{n}") for n in range(10))), [])


@pytest.mark.parametrize(
    ("max_bad", "bad", "rows", "good"),
    [
        ("0", 0, 0, True), ("0", 1, 10, False), ("3", 3, 10, True), ("3", 4, 10, False),
        ("2%", 2, 100, True), ("2%", 3, 100, False), ("0%", 0, 5, True), ("1%", 1, 50, False),
    ],
)  # fmt: skip
def test_max_bad(max_bad, bad, rows, good):
    assert ledger.allows(max_bad, {"in": rows, "ok": rows - bad, "bad": bad}) is good


def test_shares_that_floats_miss_by_a_little():
    for n in range(100):
        assert ledger.allows(f"{n}%", {"in": 100, "ok": 100 - n, "bad": n}), n
        assert not ledger.allows(f"{n}%", {"in": 100, "ok": 99 - n, "bad": n + 1}), n


def test_errors_the_most_common_first():
    records = [
        record("/a", errors=[("KeyError", 1, "no a")]),
        record("/b", errors=[("ValueError", 5, "five"), ("KeyError", 1, "no b")]),
    ]
    assert ledger.errors(records) == [("ValueError", 5, "five"), ("KeyError", 2, "no a")]


def test_total():
    assert ledger.total([]) == {"in": 0, "ok": 0, "bad": 0}
    records = [record("/a", rows=(3, 2, 1)), record("/b", rows=(4, 4, 0))]
    assert ledger.total(records) == {"in": 7, "ok": 6, "bad": 1}
