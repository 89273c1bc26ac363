"""Blocks of any size, gathered into windows."""

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.formats.base import BadRow, Block
from mrmodel.tasks.windows import windows


def block(rows, first=0, source="/a", bad=(), pad=0):
    x = pa.array([float(n) for n in range(first, first + rows)], pa.float64())
    text = pa.array(["." * pad] * rows, pa.string())
    batch = pa.RecordBatch.from_arrays([x, text], names=["x", "text"])
    numbers = np.arange(first, first + rows, dtype=np.int64)
    letters = tuple(BadRow(source, n, "E", "m", None) for n in bad)
    return Block(batch, numbers, source, letters, nbytes=10)


def test_small_blocks_are_gathered_up_to_the_rows():
    found = list(windows((block(1, n, f"/{n}") for n in range(25)), ["x"], max_rows=10))
    assert [len(window) for window in found] == [10, 10, 5]
    assert found[1].sources == [f"/{n}" for n in range(10, 20)]
    assert found[1].batch["x"].to_pylist() == [float(n) for n in range(10, 20)]
    assert found[1].nbytes == 100


def test_bytes_bound_a_window_too():
    found = list(windows((block(10, pad=1000) for _ in range(10)), ["x"], max_bytes=20_000))
    assert [len(window) for window in found] == [20, 20, 20, 20, 20]


def test_one_large_block_is_one_window():
    (window,) = windows([block(100, pad=1000)], ["x"], max_rows=10, max_bytes=10)
    assert len(window) == 100


def test_windows_are_lazy():
    taken = []

    def blocks():
        for number in range(100):
            taken.append(number)
            yield block(10)

    found = windows(blocks(), ["x"], max_rows=20)
    next(found)
    assert len(taken) == 3


def test_bad_rows_travel_along():
    (window,) = windows([block(2, bad=[7]), block(0, bad=[8, 9]), block(1, 10)], ["x"])
    assert (len(window), window.rows_in) == (3, 6)
    assert [bad.row for bad in window.bad] == [7, 8, 9]
    assert window.rows.tolist() == [0, 1, 10]


def test_no_rows_at_all():
    assert list(windows([], ["x"])) == []
    (window,) = windows([block(0)], ["x"])
    assert (len(window), window.rows_in, window.nbytes) == (0, 0, 10)


def with_column(name, array):
    rows = len(array)
    ids = pa.array(range(rows))
    batch = pa.RecordBatch.from_arrays([ids, array], names=["id", name])
    return Block(batch, np.arange(rows, dtype=np.int64), "/a", (), nbytes=1)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, None, 3, None]),
        pa.array(["a", None, "", None]),
        pa.array([[1.0, 2.0], None, [3.0, 4.0], [5.0, None]], pa.list_(pa.float32(), 2)),
        pa.array([[1.0], None, [], [None]], pa.list_(pa.float32())),
        pa.array([{"a": 1}, None, {"a": None}, None]),
    ],
    ids=str,
)
def test_nulls_in_input_columns_are_bad_rows(array):
    (window,) = windows([with_column("v", array)], ["v"])
    assert window.batch["id"].to_pylist() == [0, 2]
    assert window.rows.tolist() == [0, 2]
    assert [(bad.row, bad.error) for bad in window.bad] == [(1, "NullInput"), (3, "NullInput")]
    assert "'v'" in window.bad[0].message
    assert window.bad[0].record == '{"id": 1, "v": null}'


def test_nulls_in_other_columns_are_none_of_our_business():
    (window,) = windows([with_column("v", pa.array([1, None]))], ["id"])
    assert (len(window), window.bad) == (2, ())


def test_a_dead_letter_names_its_row():
    (window,) = windows([block(2, 5, "/a"), block(3, 0, "/b", pad=20_000)], ["x"])
    letter = window.bad_row(4, "ValueError", "why")
    assert (letter.source, letter.row, letter.error, letter.message) == (
        "/b",
        2,
        "ValueError",
        "why",
    )
    assert len(letter.record) == 10_000
