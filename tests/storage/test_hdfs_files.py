"""The reader of HDFS files over a file in memory: every read gives what it was asked for."""

import random

import pytest

from mrmodel.storage.hdfs_files import Reader

SIZE = 20_000_003
DATA = random.Random(0).randbytes(SIZE)


class File:
    """As hdfs-native's raw reader: ranges, and streams that come in packets."""

    def __len__(self):
        return SIZE

    def read_range(self, offset, length):
        return DATA[offset : offset + length]

    def read_range_stream(self, offset, length):
        for start in range(offset, offset + length, 65_536):
            yield DATA[start : min(start + 65_536, offset + length)]


@pytest.fixture
def reader():
    return Reader("hdfs://nn/file", File(), lambda uri, function, *args: function(*args))


@pytest.mark.parametrize("size", [65_536, 300_000, 700_001, 1 << 20, 9_000_000])
def test_no_read_is_short(reader, size):
    offset = 0
    while offset < SIZE:
        data = reader.read(size)
        assert data == DATA[offset : offset + size], f"at {offset}"
        offset += len(data)
    assert reader.read(size) == b""


def test_reads_across_seeks(reader):
    choose = random.Random(1)
    for _ in range(200):
        offset, size = choose.randrange(SIZE), choose.choice([1, 5_000, 400_000, 3_000_000])
        reader.seek(offset)
        for _ in range(choose.randrange(1, 4)):
            assert reader.read(size) == DATA[offset : offset + size]
            offset = min(SIZE, offset + size)
        assert reader.tell() == offset
