"""The batch size finds itself, from rates that the tests make up."""

import pytest

from mrmodel.tasks.sizing import LARGEST, START, BatchSizer


def feed(sizer, seconds_of, batches=200):
    """Batches that take ``seconds_of(rows)``; the sizes that were tried."""
    tried = []
    for _ in range(batches):
        if not tried or tried[-1] != sizer.rows:
            tried.append(sizer.rows)
        sizer.record(sizer.rows, sizer.rows, seconds_of(sizer.rows))
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
            sizer.record(rows, rows, seconds)
    assert sizer.rows == 128


def test_the_first_batch_of_a_size_warms_up_and_does_not_count():
    sizer = BatchSizer("auto")
    for seconds in (100.0, 1.0, 1.0):
        sizer.record(START, START, seconds)
    assert sizer.rows == 2 * START
    for seconds in (100.0, 1.0, 1.0):
        sizer.record(2 * START, 2 * START, seconds)
    assert sizer.rows == 4 * START


def test_batches_of_another_size_do_not_count():
    """The last one of a window, and those that were prepared before the size changed."""
    sizer = BatchSizer("auto")
    for _ in range(50):
        sizer.record(START - 1, START - 1, 1e-9)
        sizer.record(START * 2, START * 2, 1e-9)
    assert sizer.rows == START and not sizer.settled


def test_rates_are_by_cost():
    """Rows of twice the length take twice the time: that is no reason to stop."""
    sizer = BatchSizer("auto")
    for rows in (16, 32, 64):
        for _ in range(3):
            sizer.record(rows, cost=rows * rows, seconds=float(rows))
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
