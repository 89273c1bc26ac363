"""INPUT... to files: what is found, in which order, and what a person is told."""

import os
import time

import pytest

from mrmodel.errors import InputError
from mrmodel.shards.listing import list_inputs


@pytest.fixture
def make(tmp_path):
    def make(*names, data=b"x"):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path

    return make


def listed(root, *inputs):
    """The names below `root` that `inputs`, given below it too, name."""
    uris = [str(root / text) if text else str(root) for text in inputs]
    return [os.path.relpath(file.uri, root) for file in list_inputs(uris)]


def test_a_folder_is_listed_with_all_below_it_sorted(make):
    root = make("b.csv", "a/z.csv", "a/b/c.csv", "a.csv")
    assert listed(root, "") == ["a.csv", "a/b/c.csv", "a/z.csv", "b.csv"]


def test_inputs_keep_the_order_they_are_given_in(make):
    root = make("a/1.csv", "b/1.csv")
    assert listed(root, "b", "a") == ["b/1.csv", "a/1.csv"]


def test_a_file_named_by_two_inputs_is_listed_once(make):
    root = make("a/1.csv", "a/2.csv")
    assert listed(root, "a/2.csv", "a", "a/*.csv", "a/../a/1.csv") == ["a/2.csv", "a/1.csv"]


def test_hidden_names_are_left_out_at_every_level_below_the_input(make):
    root = make(
        "_SUCCESS", ".a.crc", "_temporary/0/a.csv", "x/.hidden/a.csv", "x/_a.csv", "x/a_.b.csv"
    )
    assert listed(root, "") == ["x/a_.b.csv"]
    assert listed(root, "x/*", "*/*.csv") == ["x/a_.b.csv"]


def test_a_hidden_name_that_is_asked_for_is_read(make):
    root = make("_out/a.csv", ".b.csv", "_out/_c.csv")
    assert listed(root, "_out", ".b.csv", "_o*/_c.csv") == ["_out/a.csv", ".b.csv", "_out/_c.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a1.csv", "b2.csv"]),
        ("?1.csv", ["a1.csv"]),
        ("[ab]?.csv", ["a1.csv", "b2.csv"]),
        ("[!a]?.csv", ["b2.csv"]),
        ("[^a]?.csv", ["b2.csv"]),
        ("[b-c]*", ["b2.csv"]),
        ("{a1,b2}.csv", ["a1.csv", "b2.csv"]),
        ("{a{1,9},x}.csv", ["a1.csv"]),
        ("{d/c3,a1}.csv", ["a1.csv", "d/c3.csv"]),
        ("d", ["d/c3.csv", "d/e/f/g4.csv", "d/e/f/g5.txt"]),
        ("**/*.csv", ["a1.csv", "b2.csv", "d/c3.csv", "d/e/f/g4.csv"]),
        ("d/**", ["d/c3.csv", "d/e/f/g4.csv", "d/e/f/g5.txt"]),
        ("d/**/f/*.txt", ["d/e/f/g5.txt"]),
        ("*/e", ["d/e/f/g4.csv", "d/e/f/g5.txt"]),
        ("*/*/f/g?.csv", ["d/e/f/g4.csv"]),
    ],
)
def test_globs(make, pattern, expected):
    root = make("a1.csv", "b2.csv", "d/c3.csv", "d/e/f/g4.csv", "d/e/f/g5.txt")
    assert listed(root, pattern) == expected


@pytest.mark.parametrize(
    "name",
    ["a b.csv", "a,b.csv", "[ab].csv", "{a,b}.csv", "*.csv", "what?.csv", "naïve ☕.csv", "50%.csv",
     "a#b.csv", "x{1.csv", "dir {1,2}/[x]/f.csv"],
)  # fmt: skip
def test_a_name_that_exists_is_never_read_as_a_glob(make, name):
    root = make(name, "a.csv", "b.csv")
    assert listed(root, name) == [name]


@pytest.mark.parametrize("folder", ["we[i]rd", "{a,b}", "st*r"])
def test_a_folder_with_such_a_name_can_stand_in_a_glob(make, folder):
    root = make(f"{folder}/1.csv", "a/2.csv", "weird/3.csv", "staar/4.csv")
    assert listed(root, f"{folder}/*.csv") == [f"{folder}/1.csv"]


def test_an_empty_folder_has_no_files(tmp_path):
    assert list_inputs([str(tmp_path)]) == []


def test_zero_byte_files_are_listed_with_their_size(make):
    (file,) = list_inputs([str(make("a.csv", data=b""))])
    assert file.size == 0 and file.mtime > 0


def test_a_missing_input_names_similar_ones(make):
    root = make("data/train.parquet")
    with pytest.raises(InputError, match=r"tran\.parquet does not exist; .*'train\.parquet'"):
        list_inputs([str(root / "data/tran.parquet")])


def test_a_missing_input_names_the_nearest_folder_there_is(make):
    root = make("data/b.csv", "data/a.csv")
    with pytest.raises(InputError, match=r"x/y/z does not exist; .*/data has: a\.csv, b\.csv$"):
        list_inputs([str(root / "data/x/y/z")])


def test_a_glob_without_a_match_is_an_error(make):
    root = make("data/a.csv")
    with pytest.raises(InputError, match=r"\*\.parquet matches no file; .*/data has: a\.csv"):
        list_inputs([str(root / "data/*.parquet")])


def test_a_path_below_a_file_is_an_error(make):
    root = make("a.csv")
    with pytest.raises(InputError, match=r"a\.csv is not a folder"):
        list_inputs([str(root / "a.csv/b")])


def test_a_link_to_nothing_is_an_error_that_names_it(make):
    root = make("a.csv")
    (root / "b.csv").symlink_to(root / "gone")
    with pytest.raises(InputError, match=r"cannot be listed: .*b\.csv"):
        list_inputs([str(root)])


def test_100_000_files_are_listed_by_one_call_per_folder(monkeypatch):
    from mrmodel.shards import listing
    from mrmodel.storage.base import Entry

    class Huge:
        calls = 0

        def stat(self, uri):
            return Entry(uri, 0, 1.0, is_dir=True)

        def ls(self, uri, recursive=False):
            self.calls += 1
            return [
                Entry(f"{uri}/dt={n % 100}/{n}", n, 1.0, False, 1 << 27) for n in range(100_000)
            ]

    huge = Huge()
    monkeypatch.setattr(listing, "storage_for", lambda uri: huge)
    start = time.monotonic()
    files = list_inputs(["hdfs://nn:9000/data"])
    assert len(files) == 100_000 and files[7].partition == {"dt": "7"}
    assert huge.calls == 1
    assert time.monotonic() - start < 10
