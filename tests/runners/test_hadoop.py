"""What the hadoop runner says to mrjob and Hadoop; that it works is for tests/hadoop to show."""

import json

import pytest

from mrmodel.errors import UsageError
from mrmodel.runners import hadoop
from mrmodel.runners.base import Launch
from mrmodel.runners.hadoop import HadoopLauncher, memory_of, still_to_read
from mrmodel.shards.hadoop import hadoop_split_plan
from mrmodel.shards.plan import Plan, Source
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging

MB = 1 << 20


def launch(tmp_path, weights_bytes=0, **execution):
    return Launch(
        None, TaskSpec("job", {}, {}, ""), None, (), frozenset(), ExecutionSpec(**execution),
        tmp_path, Staging(str(tmp_path)), weights_bytes=weights_bytes,
    )  # fmt: skip


def source(name, size, block=128 * MB):
    return Source(f"hdfs://nn/{name}", size, block_size=block, splittable=True)


@pytest.mark.parametrize(
    ("weights", "memory", "megabytes"),
    [
        (0, None, 1536),
        (400 * MB, None, 3072),
        (4096 * MB, None, 15872),
        (0, "3GB", 3072),
        (0, "1", 1),
    ],
)
def test_memory(tmp_path, weights, memory, megabytes):
    assert memory_of(launch(tmp_path, weights, memory=memory)) == megabytes


def jobconf(args):
    return dict(b.split("=", 1) for a, b in zip(args, args[1:], strict=False) if a == "-D")


def test_what_hadoop_must_be_told(tmp_path):
    found = jobconf(hadoop._common_args(launch(tmp_path, memory="800MB", vcores=2), "me"))
    assert found["mapreduce.map.memory.mb"] == "800"
    assert "-Xmx200m " in found["mapreduce.map.java.opts"]
    assert found["mapreduce.map.cpu.vcores"] == "2"
    # or each long line of a binary file is logged
    assert found["mapreduce.map.log.level"] == "WARN"
    assert found["mapreduce.fileoutputcommitter.algorithm.version"] == "1"


def test_the_persons_jobconf_wins(tmp_path):
    told = launch(tmp_path, jobconf={"mapreduce.map.log.level": "DEBUG", "a.b": "c=d"})
    found = jobconf(hadoop._common_args(told, "me"))
    assert (found["mapreduce.map.log.level"], found["a.b"]) == ("DEBUG", "c=d")


def test_local_paths_are_refused_with_the_remedy():
    with pytest.raises(UsageError, match="received /data, which the nodes cannot reach.*data put"):
        HadoopLauncher().check(["hdfs://nn/in", "/data"])


def test_shards_are_in_input_order():
    sources = (source("small", 10), source("large", 300 * MB), source("small2", 10))
    plan = Plan("text", None, None, (), sources, ())
    shards = HadoopLauncher().shards(plan, 128 * MB, ExecutionSpec())
    uris = [(piece.uri, piece.start) for shard in shards for piece in shard.pieces]
    place = {s.uri: n for n, s in enumerate(sources)}
    firsts = [shard.pieces[0] for shard in shards]
    assert firsts == sorted(firsts, key=lambda p: (place[p.uri], p.start))
    assert len(uris) == len(set(uris))


def test_files_that_are_finished_are_not_read_again():
    split = hadoop_split_plan([source("a", 256 * MB), source("b", 256 * MB)], 128 * MB)
    of_a = frozenset(shard.key for shard in split.shards if shard.pieces[0].uri.endswith("a"))
    rest = still_to_read(split, of_a)
    assert [s.uri for s in rest.local] == ["hdfs://nn/b"]
    assert rest.jobconf["mapreduce.job.maps"] == "2"
    # with one shard of a file left, Hadoop cuts that file as before
    again = still_to_read(split, frozenset(list(of_a)[:1]))
    assert [s.uri for s in again.local] == ["hdfs://nn/a", "hdfs://nn/b"]
    assert again.split_size == split.split_size
    assert still_to_read(split, frozenset(s.key for s in split.shards)).local == ()


def test_files_by_split_are_found_by_path(tmp_path):
    split = hadoop_split_plan([source("a b", 256 * MB)], 128 * MB)
    local = hadoop.HadoopPlan((source("x/a", 5),), (), split.split_size, 1, ())
    told = json.loads(hadoop._write_files(tmp_path / "files.json", local).read_text())
    assert told == {"/x/a": {"uri": "hdfs://nn/x/a", "start": 0, "length": 5, "size": 5,
                             "mtime": 0.0, "partition": {}, "rows": None}}  # fmt: skip
