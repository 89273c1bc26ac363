"""Rows as JSON: what JSON, or Python, cannot hold."""

import datetime
import decimal
import json

import pyarrow as pa
import pytest

from mrmodel.tasks.json_rows import json_lines, json_text, to_rows


def as_json(array):
    batch = pa.RecordBatch.from_arrays([array], names=["value"])
    return [json.loads(line)["value"] for line in json_lines(to_rows(batch)).splitlines()]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_null(value):
    assert as_json(pa.array([value, 1.5])) == [None, 1.5]
    assert as_json(pa.array([[value, 1.0]], pa.list_(pa.float32(), 2))) == [[None, 1.0]]


def test_bytes_are_base64_at_any_depth():
    assert as_json(pa.array([b"\x00\xff"])) == ["AP8="]
    assert as_json(pa.array([{"a": [b"x"]}])) == [{"a": ["eA=="]}]


def test_dates_and_times_are_iso_8601():
    assert as_json(pa.array([datetime.date(2026, 1, 2)])) == ["2026-01-02"]
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=datetime.timezone.utc)
    assert as_json(pa.array([moment])) == ["2026-01-02T03:04:05.000600+00:00"]
    assert as_json(pa.array([decimal.Decimal("1.50")])) == ["1.50"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.timestamp("ns"), "1970-01-01T00:00:00.000001001"),
        (pa.timestamp("ns", "UTC"), "1970-01-01T00:00:00.000001001Z"),
        (pa.time64("ns"), "00:00:00.000001001"),
        (pa.duration("ns"), "1001 ns"),
    ],
)
def test_nanoseconds_are_not_lost(kind, text):
    """Python's datetime has none; pandas writes them by default."""
    assert as_json(pa.array([1001, None], kind))[1] is None
    assert as_json(pa.array([1001], kind))[0].startswith(text[:-1])
    assert as_json(pa.array([[1001]], pa.list_(kind)))[0][0].startswith(text[:-1])
    struct = pa.array([{"a": 1001}], pa.struct([("a", kind)]))
    assert as_json(struct)[0]["a"].startswith(text[:-1])


def test_years_beyond_python_do_not_end_the_job():
    assert len(as_json(pa.array([2**40, 0], pa.timestamp("s")))) == 2


def test_text_that_is_not_unicode_is_escaped():
    assert json_lines([{"path": "a\udcff"}]) == b'{"path": "a\\udcff"}\n'


def test_text_stays_readable():
    assert json_text({"é": "日本"}) == '{"é": "日本"}'
