"""mrmodel data put, get and ls on a real HDFS."""

import json
import subprocess
import sys

import pytest

from mrmodel import storage as st
from mrmodel.cli.main import main
from mrmodel.driver.transfer import transfer
from mrmodel.errors import OutputExistsError

pytestmark = pytest.mark.hadoop


@pytest.fixture
def root(cluster, request):
    uri = st.normalise(f"{cluster.namenode}/tmp/transfer-{request.node.name}")
    st.storage_for(uri).delete(uri)
    yield uri
    st.storage_for(uri).delete(uri)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "dt=1").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "big").write_bytes(bytes(range(256)) * 80_000)
    (folder / "dt=1" / "é {1},%20#").write_bytes(b"y")
    return folder


def test_there_and_back_and_again(source, root, tmp_path):
    assert len(transfer([str(source)], root).copied) == 2
    assert len(transfer([str(source)], root).skipped) == 2
    transfer([root], str(tmp_path / "back"))
    assert subprocess.run(["diff", "-r", source, tmp_path / "back"]).returncode == 0


def test_hadoop_reads_what_was_put(source, root, cluster):
    transfer([str(source)], root)
    listed = cluster.run("hdfs", "dfs", "-ls", "-R", "-C", root)
    assert listed.count(root) == 4
    assert cluster.run("hdfs", "dfs", "-cat", f"{root}/dt=1/*") == "y"


def test_other_content(source, root):
    transfer([str(source)], root)
    (source / "dt=1" / "é {1},%20#").write_bytes(b"z")
    with pytest.raises(OutputExistsError, match="dt=1/é"):
        transfer([str(source)], root)
    transfer([str(source)], root, overwrite=True)
    assert st.read_bytes(f"{root}/dt=1/é {{1}},%20#") == b"z"


def test_ls_and_globs(source, root, capsys):
    transfer([str(source)], root)
    assert main(["data", "ls", f"{root}/dt=*", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["uri"], entry["size"]) == (f"{root}/dt=1/é {{1}},%20#", 1)


KILLED = """
import sys, time
from mrmodel.driver import transfer as t
t.PIECE = 1 << 20
read = t._Run._read
t._Run._read = lambda self, reader: (print("reading", flush=True), time.sleep(0.2),
                                     read(self, reader))[-1]
t.transfer([sys.argv[1]], sys.argv[2])
"""


def test_a_killed_run_shows_nothing_half_and_the_next_completes(source, root):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source / "big"), f"{root}/big"], stdout=subprocess.PIPE
    )
    for _ in range(8):
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    storage = st.storage_for(root)
    assert storage.stat(f"{root}/big") is None
    transfer([str(source)], root)
    assert [entry.name for entry in storage.ls(root)] == ["big", "dt=1", "empty"]
    assert storage.stat(f"{root}/big").size == 256 * 80_000
