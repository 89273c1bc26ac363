"""Threads ahead of and behind the forward pass."""

import threading
import time

import pytest

from mrmodel.tasks.ahead import Sink, ahead


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def running(name):
    return any(thread.name == name for thread in threading.enumerate())


def test_items_in_order():
    assert list(ahead(iter(range(100)), 3, "a")) == list(range(100))
    assert list(ahead([], 3, "a")) == []


def test_none_is_an_item():
    assert list(ahead([None, 0, None], 1, "a")) == [None, 0, None]


def test_only_so_far_ahead():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    found = ahead(items(), 3, "a")
    assert next(found) == 0
    time.sleep(0.1)
    assert len(made) == 5  # one taken, three in the queue, one in the hand
    found.close()


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_comes_in_its_place(error):
    def items():
        yield 1
        yield 2
        raise error

    found = ahead(items(), 9, "a")
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(type(error)) as raised:
        next(found)
    assert raised.value is error


def test_closing_ends_the_thread():
    found = ahead(iter(range(1000)), 2, "closed")
    next(found)
    found.close()
    wait_until(lambda: not running("closed"))


def test_a_sink_takes_all_in_order():
    taken = []
    sink = Sink(taken.append, 2, "sink")
    for number in range(20):
        sink.put(number)
    sink.close()
    assert taken == list(range(20))
    assert not running("sink")


def test_a_sink_is_only_so_far_behind():
    gate, put = threading.Event(), []
    sink = Sink(lambda item: gate.wait(), 2, "sink")

    def fill():
        for number in range(10):
            sink.put(number)
            put.append(number)

    thread = threading.Thread(target=fill)
    thread.start()
    time.sleep(0.1)
    assert len(put) == 3  # one being consumed, two in the queue
    gate.set()
    thread.join()
    sink.close()


def test_an_error_of_a_sink_comes_with_the_next_item_or_the_end():
    def consume(item):
        raise ValueError(item)

    sink = Sink(consume, 2, "sink")
    with pytest.raises(ValueError, match="first"):
        sink.put("first")
        for _ in range(100):
            sink.put("more")
            time.sleep(0.01)
    sink.cancel()
    sink = Sink(consume, 2, "sink")
    sink.put("only")
    with pytest.raises(ValueError, match="only"):
        sink.close()


def test_cancelling_drops_what_waits():
    gate, taken = threading.Event(), []

    def consume(item):
        taken.append(item)
        gate.wait()

    sink = Sink(consume, 5, "sink")
    for number in range(5):
        sink.put(number)
    wait_until(lambda: taken)
    threading.Timer(0.05, gate.set).start()
    sink.cancel()
    assert taken == [0]
    assert not running("sink")
