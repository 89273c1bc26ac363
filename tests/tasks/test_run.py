"""Which shards a task is given."""

import json

import pytest

from mrmodel.errors import JobError
from mrmodel.shards.shard import Piece, Shard
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.run import path_of, shard_of_split, shards_of_manifest

SHARDS = [
    Shard((Piece("/a b,{é}", 0, 5, 9, 1.5, {"dt": "x"}), Piece("/b", 0, 1, 1)), 7),
    Shard((Piece("/c", 3, 4, 7),)),
]


@pytest.mark.parametrize("key", ["", "1234\t"], ids=["as it is", "after Hadoop's key"])
def test_a_manifest(key):
    lines = [f"{key}{json.dumps(shard.to_dict())}\n".encode() for shard in SHARDS]
    assert shards_of_manifest([*lines, b"\n"]) == SHARDS


def context(split):
    return TaskContext("attempt", "host", split, None, True)


def test_a_split_of_hadoop():
    """Hadoop may write the authority in another way than the driver."""
    files = {"/data/a": {"uri": "hdfs://nn:9000/data/a", "start": 0, "length": 99, "size": 99,
                         "mtime": 1.0, "partition": {"dt": "x"}}}  # fmt: skip
    shard = shard_of_split(context(("hdfs://nn/data/a", 40, 20)), files)
    assert shard == Shard((Piece("hdfs://nn:9000/data/a", 40, 20, 99, 1.0, {"dt": "x"}),))


def test_a_split_of_nothing_we_know():
    with pytest.raises(JobError, match="not among the job's input files"):
        shard_of_split(context(("hdfs://nn/other", 0, 1)), {})
    with pytest.raises(JobError, match="expected Hadoop to name"):
        shard_of_split(context(None), {})


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("hdfs://nn:9000/a/b c", "/a/b c"), ("hdfs://nn/a", "/a"), ("hdfs:/a/b", "/a/b"),
        ("file:///a/b", "/a/b"), ("file:/a", "/a"), ("/a/b", "/a/b"), ("/a:b/c", "/a:b/c"),
    ],
)  # fmt: skip
def test_paths(uri, path):
    assert path_of(uri) == path
