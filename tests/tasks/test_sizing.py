"""The batch size finds itself, from rates that the tests make up."""

import numpy as np
import pytest

from mrmodel.tasks.sizing import LARGEST, START, BatchSizer


def feed(sizer, seconds_of, batches=200):
    """Batches that take ``seconds_of(rows)``; the sizes that were tried."""
    tried = []
    for _ in range(batches):
        if not tried or tried[-1] != sizer.rows:
            tried.append(sizer.rows)
        sizer.record(sizer.rows, seconds_of(sizer.rows))
    return tried


def test_grows_while_larger_is_faster():
    sizer = BatchSizer("auto")
    tried = feed(sizer, lambda rows: 1.0)  # twice the rows in the same time
    assert tried == [START << n for n in range(10)]
    assert sizer.rows == LARGEST
    assert sizer.settled and sizer.changed


def test_settles_where_it_stops_to_pay():
    sizer = BatchSizer("auto")
    feed(sizer, lambda rows: max(0.064, rows / 1000))  # no faster from 64 rows on
    assert sizer.rows == 64
    assert sizer.settled


def test_goes_back_to_the_best():
    sizer = BatchSizer("auto")
    feed(sizer, lambda rows: rows / (1000 if rows <= 32 else 100) + 0.1)
    assert sizer.rows == 32


def test_stays_small_where_size_brings_nothing():
    sizer = BatchSizer("auto")
    feed(sizer, lambda rows: rows / 1000)
    assert sizer.rows == START


def test_batches_of_no_time_grow_whatever_their_rates():
    sizer = BatchSizer("auto")
    feed(sizer, lambda rows: rows / 100_000)  # no faster by size
    assert sizer.rows == 512  # the last that takes less than 0.01 s


def test_one_slow_batch_of_two_is_the_machines_not_the_models():
    sizer = BatchSizer("auto")
    for rows in (16, 32, 64):
        for seconds in (1.0, 1.0, 60.0):
            sizer.record(rows, seconds)
    assert sizer.rows == 128


def test_the_first_batch_of_a_size_warms_up_and_does_not_count():
    sizer = BatchSizer("auto")
    for seconds in (100.0, 1.0, 1.0):
        sizer.record(START, seconds)
    assert sizer.rows == 2 * START
    for seconds in (100.0, 1.0, 1.0):
        sizer.record(2 * START, seconds)
    assert sizer.rows == 4 * START


def test_what_is_a_full_batch():
    """Not the last one of a window, nor those that were prepared before the size changed."""
    sizer = BatchSizer("auto")
    assert sizer.cut(0, 100, None) == START
    assert sizer.is_full(START)
    assert sizer.cut(96, 100, None) == 100
    assert not sizer.is_full(4)
    assert not sizer.is_full(2 * START)


def test_rates_are_by_cost():
    """Rows of twice the length take twice the time: that is no reason to stop."""
    sizer = BatchSizer("auto")
    for rows in (16, 32, 64):
        for _ in range(3):
            sizer.record(cost=rows * rows, seconds=float(rows))
    assert sizer.rows == 128


@pytest.mark.parametrize("setting", ["48", 48])
def test_a_forced_size_stays(setting):
    sizer = BatchSizer(setting)
    assert feed(sizer, lambda rows: 1.0) == [48]
    assert sizer.settled and not sizer.changed


def test_a_remembered_size_is_not_tried_again():
    sizer = BatchSizer("auto", remembered=128)
    assert feed(sizer, lambda rows: 1.0) == [128]
    assert sizer.settled and not sizer.changed


def test_a_forced_size_wins_over_a_remembered_one():
    assert BatchSizer("48", remembered=None).rows == 48


def test_shrinks_for_good():
    sizer = BatchSizer("auto")
    feed(sizer, lambda rows: 1.0, batches=10)
    sizer.shrink(100)
    assert (sizer.rows, sizer.settled, sizer.changed) == (50, True, True)
    assert feed(sizer, lambda rows: 1e-9) == [50]
    sizer.shrink(60)  # a batch that was prepared before
    assert sizer.rows == 30
    sizer.shrink(1)
    assert sizer.rows == 1


def test_never_grows_by_shrinking():
    sizer = BatchSizer("8")
    sizer.shrink(1000)
    assert sizer.rows == 8


LONG_FIRST = np.array([100.0] * 500 + [10.0] * 50_000)


def batches(sizer, sizes, seconds_of=lambda cost: 1.0):
    """Cut `sizes` into batches that take ``seconds_of(cost)``; their lengths."""
    begin, lengths = 0, []
    while begin < len(sizes):
        end = sizer.cut(begin, len(sizes), sizes)
        if sizer.is_full(end - begin):
            cost = float(sizes[begin:end].sum())
            sizer.record(cost, seconds_of(cost))
        lengths.append(end - begin)
        begin = end
    return lengths


def test_short_rows_go_in_larger_batches_than_long_ones():
    lengths = batches(BatchSizer("auto", remembered=1000, by_cost=True), LONG_FIRST)
    assert lengths == [10] * 50 + [100] * 500


def test_a_bound_of_cost_finds_itself():
    sizer = BatchSizer("auto", by_cost=True)
    # no faster from 1,600 on
    lengths = batches(sizer, LONG_FIRST, lambda cost: max(1.6, cost / 1000))
    assert lengths[:6] == [4] * 3 + [8] * 3
    assert sizer.limit == 1600
    assert sizer.settled and sizer.changed
    assert lengths[-2] == 160


def test_no_more_rows_than_the_largest_batch():
    lengths = batches(BatchSizer("auto", remembered=1e9, by_cost=True), LONG_FIRST)
    assert max(lengths) == LARGEST


def test_costs_of_nothing():
    lengths = batches(BatchSizer("auto", by_cost=True), np.zeros(10_000))
    assert lengths == [LARGEST, 10_000 - LARGEST]


def test_one_row_at_least():
    assert batches(BatchSizer("auto", remembered=5.0, by_cost=True), np.full(3, 9.0)) == [1, 1, 1]


def test_rows_that_were_asked_for_are_rows():
    sizer = BatchSizer("10", by_cost=True)
    assert batches(sizer, LONG_FIRST[:35]) == [10, 10, 10, 5]


def test_costs_shrink_for_good():
    sizer = BatchSizer("auto", remembered=1600.0, by_cost=True)
    assert sizer.cut(0, 500, LONG_FIRST) == 16
    sizer.shrink(16)
    assert (sizer.limit, sizer.rows, sizer.settled, sizer.changed) == (800.0, 8, True, True)
    sizer.shrink(8)  # one of its halves
    assert sizer.limit == 400.0
    assert sizer.cut(0, 500, LONG_FIRST) == 4
