"""The bytes between mappers and reducers: a format, with its bytes written down."""

import io
import random

import pytest

from mrmodel.tensors import wire
from mrmodel.tensors.wire import Record

GROUP = bytes(range(16))
SHARD = "00000000000000ff"


def read(data):
    return list(wire.read_raw(io.BytesIO(data)))


def test_the_bytes_of_a_record():
    """A change here breaks jobs whose nodes have another version."""
    assert wire.raw(Record(GROUP, SHARD, b"abc")) == (
        b"\x00\x00\x00\x18" + GROUP + b"\x00\x00\x00\x00\x00\x00\x00\xff" + b"\x00\x00\x00\x03abc"
    )
    assert wire.line(Record(GROUP, SHARD, b"abc")) == (
        b"000102030405060708090a0b0c0d0e0f\t00000000000000ff YWJj\n"
    )


@pytest.mark.parametrize("value", [b"", b"\n\t \x00\xff", b"x" * 100_000])
def test_both_spellings_are_read_as_written(value):
    record = Record(wire.group_of("é"), SHARD, value)
    assert read(wire.raw(record)) == [record]
    assert list(wire.read_lines([wire.line(record)])) == [record]


def test_lines_sort_as_hadoop_sorts_the_keys():
    draw = random.Random(1)
    records = [
        Record(draw.randbytes(1) * 16, draw.randbytes(8).hex(), draw.randbytes(9))
        for _ in range(200)
    ]
    by_key = sorted(records, key=lambda r: r.group + bytes.fromhex(r.shard))
    assert list(wire.read_lines(sorted(map(wire.line, records)))) == by_key


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x00\x00", "in the middle of a record"),
        (b"\x00\x00\x00\x18abc", "in the middle of a record"),
        (wire.raw(Record(GROUP, SHARD, b"abc"))[:-1], "in the middle of a record"),
        (b"\xff\xff\xff\xff", "expected a length but received -1"),
        (b"\x00\x00\x00\x02ab" + b"\x00\x00\x00\x00", "a key of 24 bytes but received 2"),
        (b"one\ttwo\n", "in the middle of a record"),
    ],
)
def test_what_is_no_stream_of_records(data, problem):
    with pytest.raises(ValueError, match=problem):
        read(data)


def test_groups_come_with_their_shards_in_order():
    a, b = wire.group_of("a"), wire.group_of("b")
    records = [Record(a, "01", b"1"), Record(a, "02", b"2"), Record(b, "01", b"3")]
    found = [(group, [r.value for r in of]) for group, of in wire.grouped(records)]
    assert found == [(a, [b"1", b"2"]), (b, [b"3"])]


@pytest.mark.parametrize("shards", [["02", "01"], ["01", "01"]])
def test_a_shard_out_of_order_or_twice_is_an_error(shards):
    records = [Record(GROUP, shard, b"") for shard in shards]
    with pytest.raises(ValueError, match="expected each once, in order"):
        [list(of) for _, of in wire.grouped(records)]
