"""Planning against a real NameNode, and our splits against those that Hadoop Streaming makes."""

import os
import subprocess

import pytest

from mrmodel import storage as st
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.hadoop import hadoop_split_plan
from mrmodel.shards.listing import list_inputs
from mrmodel.shards.planning import plan_data
from mrmodel.shards.shard import Piece
from mrmodel.specs import DataSpec

pytestmark = pytest.mark.hadoop
MB = 1 << 20
LINE = b"0123456789abcde\n"

# what a task sees of its split
TASK = """cat > /dev/null
echo "$mapreduce_map_input_file $mapreduce_map_input_start $mapreduce_map_input_length"
"""


@pytest.fixture
def root(cluster):
    root = f"{cluster.namenode}/tmp/test-splits-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


def write(uri, size):
    with st.storage_for(uri).create(uri) as file:
        for start in range(0, size, MB):
            file.write((LINE * (MB // len(LINE)))[: min(MB, size - start)])


def test_names_partitions_and_globs_are_those_of_local_files(root):
    names = ["dt=2026-01-01/a b.txt", "dt=2026-01-02/{x},[y] ☕.txt", "dt=2026-01-03/_hidden.txt"]
    for name in names:
        st.write_bytes(f"{root}/{name}", b"a line\n")
    found = list_inputs([root])
    assert [file.uri for file in found] == [f"{root}/{name}" for name in names[:2]]
    assert [file.partition["dt"] for file in found] == ["2026-01-01", "2026-01-02"]
    assert all(file.block_size >= MB and file.size == 7 for file in found)
    assert list_inputs([f"{root}/dt=2026-01-0{{1,2}}/*.txt"]) == found
    assert list_inputs([file.uri for file in found]) == found


def test_streaming_makes_the_splits_that_are_expected(cluster, root, tmp_path):
    sizes = {"a.txt": 7 * MB + 5, "c%20d~+@.txt": 3 * MB, "tail.txt": 100, "a b.txt": 3 * MB}
    for name, size in sizes.items():
        write(f"{root}/b=1/{name}", size)
    plan = plan_data(DataSpec(uris=(root,)), None, 2 * MB)
    split = hadoop_split_plan(plan.sources, 2 * MB)
    assert [st.basename(source.uri) for source in split.local] == ["a.txt", "c%20d~+@.txt"]
    done = run_streaming(cluster, root, split, tmp_path)
    expected = [shard.pieces[0] for shard in split.shards]
    assert sorted(ranges(done)) == sorted(ranges(expected))
    assert check_coverage(split.local, done) == []


def ranges(pieces):
    return [(piece.uri, piece.start, piece.length) for piece in pieces]


def run_streaming(cluster, root, split, tmp_path):
    """The pieces that the tasks of a Streaming job over `split` were given."""
    (tmp_path / "task.sh").write_text(TASK)
    home = cluster.env["HADOOP_HOME"]
    find = ["find", "-L", home, "-name", "hadoop-streaming*.jar"]
    jar = subprocess.run(find, capture_output=True, text=True, check=True).stdout.split()[0]
    options = {**split.jobconf, "mapreduce.job.reduces": "0", "stream.map.input.ignoreKey": "true"}
    arguments = [part for key, value in options.items() for part in ("-D", f"{key}={value}")]
    arguments += ["-files", str(tmp_path / "task.sh")]
    arguments += [part for source in split.local for part in ("-input", source.uri)]
    arguments += ["-output", f"{root}/out", "-mapper", "sh task.sh"]
    cluster.run("hadoop", "jar", jar, *arguments, timeout=300)
    sizes = {source.uri: source.size for source in split.local}
    lines = cluster.run("hdfs", "dfs", "-cat", f"{root}/out/part-*").splitlines()
    fields = (line.strip().rsplit(" ", 2) for line in lines)
    return [Piece(uri, int(start), int(length), sizes[uri]) for uri, start, length in fields]
