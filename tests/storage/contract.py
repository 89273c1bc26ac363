"""What every storage promises, written once. A storage inherits this and gives a `root` fixture:
the URI of an empty folder of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel import storage as st

ODD_NAMES = [
    "a b",
    "a,b",
    "{a}",
    "50%",
    "a%20b",
    "a#b",
    "a?b",
    "a=1",
    "é 日本",
    "a'b",
    "x&y;z",
    "[a]*",
]


def names(entries):
    return [entry.name for entry in entries]


class StorageContract:
    @pytest.fixture
    def fs(self, root):
        return st.storage_for(root)

    def write(self, root, *path, data=b"x"):
        uri = st.join(root, *path)
        st.write_bytes(uri, data)
        return uri

    # --- stat and ls ---

    def test_stat_of_nothing_is_none(self, fs, root):
        assert fs.stat(st.join(root, "no", "such")) is None

    def test_stat_below_a_file_is_none(self, fs, root):
        uri = self.write(root, "file")
        assert fs.stat(st.join(uri, "below")) is None

    def test_stat_of_a_file(self, fs, root):
        uri = self.write(root, "file", data=b"12345")
        entry = fs.stat(uri)
        assert (entry.uri, entry.size, entry.is_dir, entry.name) == (uri, 5, False, "file")
        assert entry.mtime > 1_600_000_000

    def test_stat_of_a_folder(self, fs, root):
        fs.mkdir(st.join(root, "folder"))
        entry = fs.stat(st.join(root, "folder"))
        assert (entry.is_dir, entry.size) == (True, 0)

    def test_ls_is_sorted_and_not_recursive(self, fs, root):
        for name in ("b", "a", "c/inside"):
            self.write(root, name)
        assert [entry.uri for entry in fs.ls(root)] == [st.join(root, n) for n in "abc"]

    def test_ls_recursive_has_folders_and_files(self, fs, root):
        self.write(root, "a/b/c")
        fs.mkdir(st.join(root, "empty"))
        found = [st.relative(entry.uri, root) for entry in fs.ls(root, recursive=True)]
        assert found == ["a", "a/b", "a/b/c", "empty"]

    def test_ls_of_an_empty_folder(self, fs, root):
        assert fs.ls(root) == []

    def test_ls_of_nothing(self, fs, root):
        with pytest.raises(FileNotFoundError):
            fs.ls(st.join(root, "nothing"))

    def test_ls_of_a_file(self, fs, root):
        with pytest.raises(NotADirectoryError):
            fs.ls(self.write(root, "file"))

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_stay_what_they_are(self, fs, root, name):
        uri = self.write(root, name, name, data=name.encode())
        assert st.read_bytes(uri) == name.encode()
        assert [entry.uri for entry in fs.ls(st.join(root, name))] == [uri]
        fs.rename(uri, st.join(root, name, "other " + name))
        assert names(fs.ls(root, recursive=True)) == [name, "other " + name]
        fs.delete(st.join(root, name))
        assert fs.ls(root) == []

    # --- open and create ---

    def test_ranged_reads(self, fs, root):
        data = bytes(range(256)) * 5000
        uri = self.write(root, "file", data=data)
        with fs.open(uri) as file:
            assert file.size() == len(data)
            assert file.read_at(10, 1000) == data[1000:1010]
            file.seek(500_000)
            assert file.read(7) == data[500_000:500_007]
            assert file.tell() == 500_007
            assert file.read() == data[500_007:]
            assert file.read(1) == b""

    def test_reads_by_many_threads(self, fs, root):
        data = bytes(range(256)) * 2000
        uri = self.write(root, "file", data=data)
        with fs.open(uri) as file, ThreadPoolExecutor(8) as pool:
            starts = range(0, len(data), 1999)
            reads = pool.map(lambda s: file.read_at(777, s), starts)
            for start, got in zip(starts, reads, strict=True):
                assert got == data[start : start + 777]

    def test_open_reads_an_empty_file(self, fs, root):
        with fs.open(self.write(root, "empty", data=b"")) as file:
            assert (file.size(), file.read()) == (0, b"")

    def test_open_of_nothing(self, fs, root):
        with pytest.raises(FileNotFoundError, match="nothing"):
            fs.open(st.join(root, "nothing"))

    def test_open_of_a_folder(self, fs, root):
        with pytest.raises(IsADirectoryError):
            fs.open(root)

    def test_create_makes_folders_and_replaces(self, fs, root):
        uri = st.join(root, "a", "b", "file")
        for data in (b"a long first text", b"short"):
            with fs.create(uri) as file:
                file.write(data)
        assert st.read_bytes(uri) == b"short"

    def test_create_over_a_folder(self, fs, root):
        with pytest.raises(IsADirectoryError):
            fs.create(root)

    def test_create_under_a_file(self, fs, root):
        with pytest.raises(NotADirectoryError):
            fs.create(st.join(self.write(root, "file"), "below"))

    def test_parquet_there_and_back(self, fs, root):
        uri = st.join(root, "t.parquet")
        table = pa.table({"a": list(range(10_000)), "b": [str(i) for i in range(10_000)]})
        with fs.create(uri) as file:
            pq.write_table(table, file, row_group_size=1000)
        with fs.open(uri) as file:
            assert pq.ParquetFile(file).read_row_group(3)["a"][0].as_py() == 3000
        with fs.open(uri) as file:
            assert pq.read_table(file) == table

    def test_write_bytes_replaces_and_leaves_nothing_else(self, fs, root):
        for data in (b"one", b"", b"two"):
            uri = self.write(root, "file", data=data)
            assert st.read_bytes(uri) == data
        assert names(fs.ls(root)) == ["file"]

    def test_write_bytes_that_fails_leaves_the_old(self, fs, root):
        uri = self.write(root, "file", data=b"old")
        with pytest.raises(TypeError):
            st.write_bytes(uri, "text, not bytes")
        assert st.read_bytes(uri) == b"old"
        assert names(fs.ls(root)) == ["file"]

    def test_json_there_and_back(self, root):
        uri = st.join(root, "x.json")
        value = {"é": [1, 2.5, None, "caf\udce9"]}
        st.write_json(uri, value)
        assert st.read_json(uri) == value

    # --- mkdir, delete, copy, replace ---

    def test_mkdir_makes_all_and_may_exist(self, fs, root):
        for _ in range(2):
            fs.mkdir(st.join(root, "a", "b", "c"))
        assert fs.stat(st.join(root, "a", "b", "c")).is_dir

    def test_mkdir_over_a_file(self, fs, root):
        with pytest.raises(FileExistsError):
            fs.mkdir(self.write(root, "file"))

    def test_delete(self, fs, root):
        uri = self.write(root, "a/b/c")
        fs.delete(uri)
        assert fs.stat(uri) is None
        self.write(root, "a/b/c")
        fs.delete(st.join(root, "a"))
        assert fs.ls(root) == []
        fs.delete(st.join(root, "a"))

    def test_copy(self, fs, root):
        source, target = self.write(root, "a", data=b"12"), st.join(root, "x", "y")
        for _ in range(2):
            fs.copy(source, target)
            assert st.read_bytes(target) == b"12"
        assert names(fs.ls(st.join(root, "x"))) == ["y"]

    def test_a_copy_is_not_changed_with_its_source(self, fs, root):
        source, target = self.write(root, "a", data=b"old"), st.join(root, "b")
        fs.copy(source, target)
        with fs.create(source) as file:
            file.write(b"new")
        assert st.read_bytes(target) == b"old"

    def test_copy_of_nothing(self, fs, root):
        with pytest.raises(FileNotFoundError):
            fs.copy(st.join(root, "nothing"), st.join(root, "b"))
        assert fs.ls(root) == []

    def test_replace_goes_over_a_file(self, fs, root):
        source, target = self.write(root, "a", data=b"new"), self.write(root, "b", data=b"old")
        fs.replace(source, target)
        assert (fs.stat(source), st.read_bytes(target)) == (None, b"new")

    # --- rename: what exactly-once output rests on ---

    def test_rename_of_a_file_and_of_a_folder(self, fs, root):
        fs.rename(self.write(root, "a", data=b"1"), st.join(root, "b"))
        self.write(root, "folder/file", data=b"2")
        fs.rename(st.join(root, "folder"), st.join(root, "moved"))
        assert names(fs.ls(root)) == ["b", "moved"]
        assert st.read_bytes(st.join(root, "moved/file")) == b"2"

    def test_rename_of_nothing(self, fs, root):
        with pytest.raises(FileNotFoundError):
            fs.rename(st.join(root, "nothing"), st.join(root, "b"))

    def test_rename_into_a_missing_folder(self, fs, root):
        with pytest.raises(FileNotFoundError):
            fs.rename(self.write(root, "a"), st.join(root, "no", "b"))

    @pytest.mark.parametrize("source", ["file", "folder", "empty"])
    @pytest.mark.parametrize("target", ["other file", "other folder", "other empty"])
    def test_rename_over_anything_is_refused(self, fs, root, source, target):
        for prefix in ("", "other "):
            self.write(root, prefix + "file", data=(prefix + "file").encode())
            self.write(root, prefix + "folder", "inside")
            fs.mkdir(st.join(root, prefix + "empty"))
        before = [(e.uri, e.size) for e in fs.ls(root, recursive=True)]
        with pytest.raises(FileExistsError):
            fs.rename(st.join(root, source), st.join(root, target))
        assert [(e.uri, e.size) for e in fs.ls(root, recursive=True)] == before

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_of_racing_renames_one_wins(self, fs, root, kind):
        for turn in range(5):
            with ThreadPoolExecutor(8) as pool:
                sources = list(pool.map(lambda i, t=turn: self.source(root, kind, t, i), range(8)))
            target = st.join(root, f"target-{turn}")
            winners = race(lambda i, s=sources, t=target: fs.rename(s[i], t), len(sources))
            assert len(winners) == 1
            left = [i for i, source in enumerate(sources) if fs.stat(source) is not None]
            assert left == [i for i in range(8) if i not in winners]
            content = target if kind == "file" else st.join(target, "inside")
            assert st.read_bytes(content) == str(winners[0]).encode()

    def source(self, root, kind, turn, i):
        name = f"{turn}-{i}"
        self.write(root, name if kind == "file" else f"{name}/inside", data=str(i).encode())
        return st.join(root, name)


def race(act, racers):
    """Who of `racers` threads, let go at once, did not get FileExistsError from `act`."""
    gate = threading.Barrier(racers)

    def run(i):
        gate.wait()
        try:
            act(i)
        except FileExistsError:
            return None
        return i

    with ThreadPoolExecutor(racers) as pool:
        return [i for i in pool.map(run, range(racers)) if i is not None]
