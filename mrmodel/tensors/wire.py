"""What travels from mappers to reducers: bytes with a key, in two spellings.

A *record* is a group (16 bytes), the key of the shard it comes from (8 bytes) and a value (bytes).
Reducers get the records of a group together and in the order of their shards, whichever attempts
made them: what they add up is the same to the last bit, whatever was killed or run twice.

On Hadoop, Streaming's ``rawbytes``: key and value, each after its length as a 32-bit big-endian
integer. mrjob's own runners sort lines, so there a record is a line: group and shard in hex, value
in base64, ``GROUP<TAB>SHARD VALUE``.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import IO

GROUP_BYTES = 16
SHARD_BYTES = 8
_LENGTH = struct.Struct(">i")
_KEY_BYTES = GROUP_BYTES + SHARD_BYTES

# what Hadoop must be told: the partition of a record goes by its group alone
JOBCONF = {
    "stream.map.output": "rawbytes",
    "stream.reduce.input": "rawbytes",
    "mapreduce.partition.binarypartitioner.left.offset": "0",
    "mapreduce.partition.binarypartitioner.right.offset": str(GROUP_BYTES - 1),
}
PARTITIONER = "org.apache.hadoop.mapred.lib.BinaryPartitioner"


@dataclass(frozen=True)
class Record:
    """`group` and `shard` are the key; `shard` is a shard's key, 16 hexadecimal digits."""

    group: bytes
    shard: str
    value: bytes


def group_of(name: str) -> bytes:
    """The group whose name is `name`: names may be long, groups are 16 bytes."""
    return hashlib.sha256(name.encode()).digest()[:GROUP_BYTES]


def group_of_bucket(number: int) -> bytes:
    """The group under which bucket `number` travels."""
    return number.to_bytes(GROUP_BYTES, "big")


def raw(record: Record) -> bytes:
    """`record` as Hadoop takes it."""
    key = record.group + bytes.fromhex(record.shard)
    return b"".join((_LENGTH.pack(_KEY_BYTES), key, _LENGTH.pack(len(record.value)), record.value))


def line(record: Record) -> bytes:
    """`record` as a line."""
    value = base64.b64encode(record.value)
    return b"%s\t%s %s\n" % (record.group.hex().encode(), record.shard.encode(), value)


def read_raw(stream: IO[bytes]) -> Iterator[Record]:
    """The records of `stream`. Raises ValueError where it is no stream of records."""
    while head := stream.read(_LENGTH.size):
        key = _take(stream, _length(head))
        if len(key) != _KEY_BYTES:
            raise ValueError(f"expected a key of {_KEY_BYTES} bytes but received {len(key)}")
        value = _take(stream, _length(_take(stream, _LENGTH.size)))
        yield Record(key[:GROUP_BYTES], key[GROUP_BYTES:].hex(), value)


def read_lines(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records that are `lines`. Raises ValueError for a line that is none."""
    for text in lines:
        group, _, rest = text.rstrip(b"\n").partition(b"\t")
        shard, _, value = rest.partition(b" ")
        yield Record(bytes.fromhex(group.decode()), shard.decode(), base64.b64decode(value))


def grouped(records: Iterable[Record]) -> Iterator[tuple[bytes, Iterator[Record]]]:
    """`records`, which are sorted, group by group.

    Raises ValueError where they are not in the order of their shards, or a shard comes twice.
    """
    for group, found in groupby(records, key=lambda record: record.group):
        yield group, _in_order(found)


def _in_order(records: Iterable[Record]) -> Iterator[Record]:
    last = ""
    for record in records:
        if record.shard <= last:
            raise ValueError(f"shard {record.shard} after {last}: expected each once, in order")
        last = record.shard
        yield record


def _length(head: bytes) -> int:
    if len(head) < _LENGTH.size:
        raise ValueError("the stream ends in the middle of a record")
    (size,) = _LENGTH.unpack(head)
    if size < 0:
        raise ValueError(f"expected a length but received {size}: is this rawbytes?")
    return size


def _take(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("the stream ends in the middle of a record")
    return data
