"""HdfsStorage on real daemons: the contract of every storage, and what only HDFS has."""

import multiprocessing
import os

import pytest

from mrmodel import storage as st
from mrmodel.errors import ServiceError
from mrmodel.storage.hdfs import HdfsStorage
from tests.storage.contract import StorageContract

pytestmark = pytest.mark.hadoop


@pytest.fixture
def root(cluster, request):
    uri = st.normalise(f"{cluster.namenode}/tmp/storage-{request.node.name}")
    storage = st.storage_for(uri)
    storage.delete(uri)
    storage.mkdir(uri)
    yield uri
    storage.delete(uri)


class TestHdfs(StorageContract):
    pass


@pytest.fixture
def as_alice(cluster, monkeypatch):
    """HDFS as a user who is not its superuser."""
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    return HdfsStorage(st.split(cluster.namenode)[1])


def test_hadoop_user_name_and_permissions(as_alice, root):
    with pytest.raises(PermissionError, match=r"user=alice.*storage-test"):
        as_alice.mkdir(st.join(root, "folder"))
    with pytest.raises(PermissionError, match="alice"):
        as_alice.create(st.join(root, "file"))


def test_below_a_file_is_nothing_for_ordinary_users_too(as_alice, root):
    uri = st.join(root, "file")
    st.write_bytes(uri, b"x")
    assert as_alice.stat(st.join(uri, "below")) is None


def test_umask_of_the_configuration(root, monkeypatch, tmp_path):
    site = "<configuration><property><name>fs.permissions.umask-mode</name><value>077</value>"
    (tmp_path / "core-site.xml").write_text(site + "</property></configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    st.write_bytes(st.join(root, "file"), b"x")
    status = st.storage_for(root)._client().get_file_info(st.split(root)[2] + "/file")
    assert status.permission == 0o600


def test_entries_have_block_sizes(root):
    st.write_bytes(st.join(root, "file"), b"x")
    assert st.storage_for(root).stat(st.join(root, "file")).block_size >= 1 << 20


def test_names_that_hdfs_refuses_are_named(root):
    with pytest.raises(OSError, match=r"Invalid path name .*a:b"):
        st.storage_for(root).create(st.join(root, "a:b"))
    with pytest.raises(OSError, match="UTF-8"):
        st.storage_for(root).mkdir(st.join(root, "caf\udce9"))


def test_reading_on_over_windows_and_jumping_back(root):
    data = os.urandom(1 << 20) * 9 + b"end"
    uri = st.join(root, "file")
    st.write_bytes(uri, data)
    with st.storage_for(root).open(uri) as file:
        got = b"".join(iter(lambda: file.read(300_001), b""))
        assert got == data
        file.seek(1_000_000)
        assert file.read(5) == data[1_000_000:1_000_005]
        assert file.read(2_000_000) == data[1_000_005:3_000_005]
        assert file.read_at(10, 5) == data[5:15]


def test_a_forked_process_is_told_rather_than_left_to_hang(root):
    st.storage_for(root).ls(root)
    processes = multiprocessing.get_context("fork")
    said = processes.SimpleQueue()
    child = processes.Process(target=_list, args=(root, said))
    child.start()
    child.join(20)
    assert "before this process was forked" in said.get()


def _list(root, said):
    try:
        said.put(f"no error: {st.storage_for(root).ls(root)}")
    except RuntimeError as error:
        said.put(str(error))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_of_racing_processes_one_wins(root, kind):
    for i in range(4):
        name = f"source-{i}" if kind == "file" else f"source-{i}/inside"
        st.write_bytes(st.join(root, name), str(i).encode())
    processes = multiprocessing.get_context("spawn")
    gate, won = processes.Barrier(4), processes.Value("i", 0)
    racers = [processes.Process(target=_race, args=(root, i, gate, won)) for i in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert won.value == 1
    left = [entry.name for entry in st.storage_for(root).ls(root)]
    assert len(left) == 4 and "target" in left


def _race(root, i, gate, won):
    storage = st.storage_for(root)
    storage.ls(root)  # connected before the start
    gate.wait()
    try:
        storage.rename(st.join(root, f"source-{i}"), st.join(root, "target"))
    except FileExistsError:
        return
    with won.get_lock():
        won.value += 1


def test_a_writer_that_failed_leaves_the_first_error(root, monkeypatch):
    file = st.storage_for(root).create(st.join(root, "file"))
    st.storage_for(root).delete(st.join(root, "file"))
    with pytest.raises((OSError, ServiceError)), file:
        file.write(b"x" * (9 << 20))
