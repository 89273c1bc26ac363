"""Rows kept beside a task: each once per epoch, in an order that the seed gives."""

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.tasks.row_cache import RowCache, write_rows

SCHEMA = pa.schema({"n": pa.int64(), "text": pa.string()})


def cache(tmp_path, counts, **options):
    first = np.cumsum([0, *counts])
    batches = [
        pa.record_batch([range(a, b), [f"é{n}" for n in range(a, b)]], schema=SCHEMA)
        for a, b in zip(first, first[1:], strict=False)
    ]
    write_rows(tmp_path / "rows", SCHEMA, batches)
    return RowCache(tmp_path / "rows", **options)


def numbers(batches):
    return [batch.column("n").to_pylist() for batch in batches]


def test_in_the_order_of_the_file(tmp_path):
    rows = cache(tmp_path, [3, 0, 4])
    assert rows.rows == 7
    assert numbers(rows.batches([2, 5])) == [[0, 1], [2, 3, 4, 5, 6]]
    assert rows.first().to_pylist() == [{"n": 0, "text": "é0"}]


def test_few_rows_are_permuted(tmp_path):
    """As documented: whoever knows the seed knows the order."""
    rows = cache(tmp_path, [30, 70])
    found = numbers(rows.batches([60, 40], np.random.default_rng([1, 2])))
    assert found[0] + found[1] == np.random.default_rng([1, 2]).permutation(100).tolist()
    again = numbers(rows.batches([60, 40], np.random.default_rng([1, 2])))
    assert again == found


@pytest.mark.parametrize("pool", [1, 400, 2000])
def test_many_rows_are_permuted_pool_by_pool(tmp_path, pool):
    rows = cache(tmp_path, [10] * 12, pool_bytes=pool)
    sizes = [7] * 17 + [1]
    one = numbers(rows.batches(sizes, np.random.default_rng(1)))
    other = numbers(rows.batches(sizes, np.random.default_rng(2)))
    assert [len(batch) for batch in one] == sizes
    flat = [n for batch in one for n in batch]
    assert sorted(flat) == list(range(120)) and flat != sorted(flat)
    assert one != other
    assert numbers(rows.batches(sizes, np.random.default_rng(1))) == one


def test_no_rows(tmp_path):
    rows = cache(tmp_path, [])
    assert rows.rows == 0 and list(rows.batches([])) == []
