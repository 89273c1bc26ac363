import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from mrmodel import storage as st
from mrmodel.storage import local
from tests.storage.contract import StorageContract


class TestLocal(StorageContract):
    @pytest.fixture
    def root(self, tmp_path):
        return str(tmp_path)


class TestLocalWithoutRenameat2(TestLocal):
    """Where the kernel or the file system has no exclusive rename (NFS, older kernels)."""

    @pytest.fixture(autouse=True)
    def no_such_call(self, monkeypatch):
        monkeypatch.setattr(local, "_renameat2", lambda source, target: errno.EINVAL)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("rename", [local.rename_exclusively, local._rename_by_claim])
def test_of_racing_processes_one_wins(tmp_path, kind, rename):
    processes = multiprocessing.get_context("fork")
    gate, won = processes.Barrier(6), processes.Value("i", 0)
    for i in range(6):
        source = tmp_path / f"source-{i}"
        source.mkdir() if kind == "folder" else source.write_text(str(i))
    racers = [
        processes.Process(target=_race, args=(rename, tmp_path, i, gate, won)) for i in range(6)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert won.value == 1
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("source")]) == 5


def _race(rename, folder, i, gate, won):
    gate.wait()
    try:
        rename(str(folder / f"source-{i}"), str(folder / "target"))
    except FileExistsError:
        return
    with won.get_lock():
        won.value += 1


def test_copy_is_a_hard_link(tmp_path):
    (tmp_path / "a").write_text("x")
    st.storage_for("/").copy(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "a").samefile(tmp_path / "b")


def test_copy_where_links_are_refused(tmp_path, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("x")
    st.storage_for("/").copy(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_to_nothing_is_named_and_not_skipped(tmp_path):
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=r"link to nothing.*broken"):
        st.storage_for("/").ls(str(tmp_path))


def test_links_to_folders_are_followed_but_not_round_in_circles(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    found = {Path(e.uri).name for e in st.storage_for("/").ls(str(tmp_path / "link"), True)}
    assert "file" in found


def test_deleting_a_tree_leaves_what_links_in_it_point_to(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    for inner in ("a/b", "a/c/d", "e"):
        (tmp_path / "tree" / inner).mkdir(parents=True)
        (tmp_path / "tree" / inner / "link").symlink_to(tmp_path / "data")
    st.storage_for("/").delete(str(tmp_path / "tree"))
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "data",
        "data/file",
    ]


def test_deleting_a_link_leaves_what_it_points_to(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    st.storage_for("/").delete(str(tmp_path / "link"))
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_names_that_are_not_utf8(tmp_path):
    uri = st.join(str(tmp_path), os.fsdecode(b"caf\xe9"))
    st.write_bytes(uri, b"x")
    assert st.read_bytes(uri) == b"x"
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]


def test_plain_and_file_uris_are_the_same_place(tmp_path):
    st.write_bytes(f"file://{tmp_path}/a%20b", b"x")
    assert st.read_bytes(f"file:{tmp_path}/a%20b") == (tmp_path / "a%20b").read_bytes()
