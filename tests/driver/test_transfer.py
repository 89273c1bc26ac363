import os
import subprocess
import sys
import threading

import pytest

from mrmodel import storage as st
from mrmodel.driver import transfer as module
from mrmodel.driver.transfer import Watcher, transfer
from mrmodel.errors import (
    InputError,
    InterruptedJobError,
    JobError,
    OutputExistsError,
    UsageError,
)
from mrmodel.storage.local import LocalStorage


@pytest.fixture
def source(tmp_path):
    """source/{a, _SUCCESS, empty/, below/{b, é {1},%20#}}"""
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("a", "_SUCCESS", "below/b", "below/é {1},%20#"):
        (folder / name).write_text(f"content of {name}")
    return folder


def tree(folder):
    """What lies under `folder`: path → text, None for folders."""
    found = folder.rglob("*")
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_text() for p in found}


def names(report):
    return sorted(os.path.basename(uri) for uri in report)


# --- what becomes what ---


def test_a_folder_becomes_the_target(source, tmp_path):
    report = transfer([str(source)], str(tmp_path / "x" / "target"))
    assert tree(tmp_path / "x" / "target") == tree(source)
    assert len(report.copied) == 4
    assert report.copied_size == sum(p.stat().st_size for p in source.rglob("*") if p.is_file())


def test_into_a_target_with_a_slash(source, tmp_path):
    transfer([str(source)], f"{tmp_path}/target/")
    assert tree(tmp_path / "target" / "source") == tree(source)


def test_a_file_becomes_the_target(source, tmp_path):
    transfer([str(source / "a")], str(tmp_path / "target"))
    assert (tmp_path / "target").read_text() == "content of a"


def test_a_file_goes_into_a_folder_that_is_there(source, tmp_path):
    (tmp_path / "target").mkdir()
    transfer([str(source / "a")], str(tmp_path / "target"))
    assert tree(tmp_path / "target") == {"a": "content of a"}


def test_several_sources_keep_their_names(source, tmp_path):
    transfer([str(source / "a"), str(source / "below")], str(tmp_path / "target"))
    assert names(tree(tmp_path / "target")) == ["a", "b", "below", "é {1},%20#"]


def test_a_glob_keeps_names_even_of_one(source, tmp_path):
    transfer([str(source / "below" / "b*")], str(tmp_path / "target"))
    assert tree(tmp_path / "target") == {"b": "content of below/b"}


def test_a_name_that_looks_like_a_glob_is_a_name(source, tmp_path):
    transfer([str(source / "below" / "é {1},%20#")], str(tmp_path / "target"))
    assert (tmp_path / "target").read_text() == "content of below/é {1},%20#"


def test_an_empty_folder(source, tmp_path):
    report = transfer([str(source / "empty")], str(tmp_path / "target"))
    assert (tmp_path / "target").is_dir()
    assert report.copied == []


# --- again, and over what is there ---


def test_the_same_again_copies_nothing(source, tmp_path):
    target = tmp_path / "target"
    transfer([str(source)], str(target))
    before = {p: p.stat().st_mtime_ns for p in target.rglob("*")}
    report = transfer([str(source)], str(target))
    assert (len(report.copied), len(report.skipped)) == (0, 4)
    assert {p: p.stat().st_mtime_ns for p in target.rglob("*")} == before


def test_what_is_missing_is_added(source, tmp_path):
    transfer([str(source)], str(tmp_path / "target"))
    (tmp_path / "target" / "below" / "b").unlink()
    report = transfer([str(source)], str(tmp_path / "target"))
    assert (names(report.copied), len(report.skipped)) == (["b"], 3)
    assert tree(tmp_path / "target") == tree(source)


@pytest.mark.parametrize("content", ["content of A", "longer than it was"])
def test_other_content_is_refused_before_anything_is_written(source, tmp_path, content):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text(content)
    with pytest.raises(OutputExistsError, match=r"target/a is there already.*--overwrite"):
        transfer([str(source)], str(tmp_path / "target"))
    assert tree(tmp_path / "target") == {"a": content}


def test_overwrite(source, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text("content of A")
    transfer([str(source)], str(tmp_path / "target"), overwrite=True)
    assert tree(tmp_path / "target") == tree(source)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_where_a_file_is_to_be(source, tmp_path, overwrite):
    (tmp_path / "target" / "a").mkdir(parents=True)
    with pytest.raises(UsageError, match="target/a: expected no folder"):
        transfer([str(source)], str(tmp_path / "target"), overwrite=overwrite)


def test_a_file_where_a_folder_is_to_be(source, tmp_path):
    (tmp_path / "target").write_text("x")
    with pytest.raises(UsageError, match="target: expected a folder"):
        transfer([str(source)], str(tmp_path / "target"))


def test_somebody_elses_file_wins_the_race(source, tmp_path, monkeypatch):
    def first(self, source_, target):
        (tmp_path / "target").write_text("theirs")
        return rename(self, source_, target)

    rename = LocalStorage.rename
    monkeypatch.setattr(LocalStorage, "rename", first)
    with pytest.raises(OutputExistsError, match="somebody else"):
        transfer([str(source / "a")], str(tmp_path / "target"))
    assert tree(tmp_path) == {**tree(tmp_path), "target": "theirs"}
    assert not list(tmp_path.glob(".*"))


# --- what cannot be ---


def test_no_source(tmp_path):
    with pytest.raises(InputError, match="nothing: no such file or folder, and no glob"):
        transfer([str(tmp_path / "nothing")], str(tmp_path / "target"))


def test_two_that_would_become_one(source, tmp_path):
    (source / "empty" / "a").write_text("another a")
    with pytest.raises(UsageError, match=r"would both become .*target/a"):
        transfer([str(source / "a"), str(source / "empty" / "a")], f"{tmp_path}/target")


def test_a_folder_into_itself(source):
    with pytest.raises(UsageError, match="outside of"):
        transfer([str(source)], str(source / "below" / "copy"))


def test_a_file_onto_itself(source):
    with pytest.raises(UsageError, match="another target"):
        transfer([str(source / "a")], str(source / "a"))


# --- what goes wrong on the way ---


class Reading:
    """A file whose reads go through `change`."""

    def __init__(self, inner, change):
        self._inner, self._change = inner, change

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._inner.close()

    def read(self, size):
        return self._change(self._inner.read(size))


def change_reads(monkeypatch, matches, change):
    original = LocalStorage.open

    def opened(self, uri):
        file = original(self, uri)
        return Reading(file, change) if matches(uri) else file

    monkeypatch.setattr(LocalStorage, "open", opened)


def test_a_copy_that_reads_back_otherwise_is_not_kept(source, tmp_path, monkeypatch):
    change_reads(monkeypatch, lambda uri: uri.endswith("part"), lambda data: data.swapcase())
    with pytest.raises(JobError, match="target: what was written differs"):
        transfer([str(source / "a")], str(tmp_path / "target"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_a_source_that_shrinks(source, tmp_path, monkeypatch):
    change_reads(monkeypatch, lambda uri: uri.endswith("/a"), lambda data: data[:3])
    with pytest.raises(JobError, match=r"source/a changed .* expected 12 bytes but received 3"):
        transfer([str(source / "a")], str(tmp_path / "target"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_ctrl_c_leaves_whole_files_only_and_the_rest_comes_later(tmp_path):
    (tmp_path / "source").mkdir()
    for i in range(6):
        (tmp_path / "source" / f"f{i}").write_text(str(i) * 1000)

    class Interrupt(Watcher):
        def done(self, file, skipped):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedJobError, match=r"interrupted; [12] of 6 files are in place"):
        transfer([f"{tmp_path}/source"], f"{tmp_path}/target", jobs=2, watcher=Interrupt())
    left = tree(tmp_path / "target")
    assert 0 < len(left) <= 2
    assert all(text == name[1] * 1000 for name, text in left.items())
    transfer([f"{tmp_path}/source"], f"{tmp_path}/target")
    assert tree(tmp_path / "target") == tree(tmp_path / "source")


def test_ctrl_c_in_the_main_thread(source, tmp_path, monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(InterruptedJobError, match="the same command again copies the rest"):
        transfer([str(source)], str(tmp_path / "target"))


def test_ctrl_c_while_files_are_handed_out(source, tmp_path, monkeypatch):
    """Copies that have begun end soon, though nobody waits for them yet."""
    stopped = []

    class Pool(module.ThreadPoolExecutor):
        def submit(self, function, act, item):
            future = super().submit(function, act, item)
            if act.__name__ == "_copy":
                raise KeyboardInterrupt
            return future

        def __exit__(self, *exc):
            stopped.append(run._stop.is_set())
            return super().__exit__(*exc)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    run = module._Run(module.make_plan([str(source)], str(tmp_path / "target")), False, Watcher())
    with pytest.raises(InterruptedJobError):
        run.run(4)
    assert stopped == [True]


KILLED = """
import sys, time
from mrmodel.driver import transfer as t
t.PIECE = 4
t._Run._read = lambda self, reader: (print("reading", flush=True), time.sleep(0.2),
                                     reader.read(4))[-1]
t.transfer([sys.argv[1]], sys.argv[2])
"""


def test_a_killed_run_shows_nothing_half_and_its_parts_are_swept(source, tmp_path):
    target = tmp_path / "target"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source / "a"), str(target / "a")],
        stdout=subprocess.PIPE,
    )
    for _ in range(2):
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert not (target / "a").exists()
    assert len(list(target.iterdir())) == 1  # the part, under a hidden name
    transfer([str(source)], str(target))
    assert tree(target) == tree(source)


def test_a_part_of_a_run_that_lives_is_left(source, tmp_path):
    part = tmp_path / "target" / module.part_name()
    part.parent.mkdir()
    part.write_text("half")
    transfer([str(source)], str(tmp_path / "target"))
    assert part.exists()


def test_success_comes_after_all_else(source, tmp_path):
    order = []

    class Order(Watcher):
        def done(self, file, skipped):
            order.append(st.basename(file.target))

    transfer([str(source)], str(tmp_path / "target"), watcher=Order())
    assert order[-1] == "_SUCCESS" and len(order) == 4


def test_the_watcher_hears_of_every_byte(source, tmp_path):
    heard, lock = {"size": 0, "ended": 0}, threading.Lock()

    class Count(Watcher):
        def begin(self, plan):
            heard["expected"] = plan.size

        def advance(self, size):
            with lock:
                heard["size"] += size

        def end(self):
            heard["ended"] += 1

    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text("content of a")
    transfer([str(source)], str(tmp_path / "target"), watcher=Count())
    assert heard["size"] == heard["expected"] and heard["ended"] == 1
