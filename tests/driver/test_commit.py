"""The commit: a kill at any moment leaves the old output or the new, and --resume ends it."""

import shutil

import pytest

from mrmodel.driver import commit
from mrmodel.driver.predict import predict
from mrmodel.errors import JobError
from mrmodel.storage.local import LocalStorage
from tests.driver import helpers
from tests.driver.helpers import COUNTING, Interrupted

CHANGES = ("rename", "replace", "delete", "mkdir", "create", "copy")


class Killer:
    """Lets `after` changes of the file system happen and no more, as SIGKILL would. The change
    that it hits is half done when it is the deletion of a folder."""

    def __init__(self, monkeypatch, after):
        self.left = after
        for name in CHANGES:
            real = getattr(LocalStorage, name)
            monkeypatch.setattr(LocalStorage, name, self._guarded(name, real))

    def _guarded(self, name, real):
        def change(storage, uri, *more):
            self.left -= 1
            if self.left < 0:
                if self.left == -1 and name == "delete":
                    self._half(storage, uri)
                raise Interrupted
            return real(storage, uri, *more)

        return change

    def _half(self, storage, uri):
        entry = storage.stat(uri)
        children = storage.ls(uri) if entry and entry.is_dir else []
        for child in children[: len(children) // 2 + 1]:
            shutil.rmtree(child.uri) if child.is_dir else None
        for child in children[: len(children) // 2 + 1]:
            if not child.is_dir:
                (helpers.Path(child.uri)).unlink()

    @property
    def struck(self):
        return self.left < 0


def kill_everywhere(monkeypatch, folder, job, check_between, check_at_end):
    """Kill `job` after 0, 1, 2, ... changes, each time from the same state of `folder`, and run
    it again."""
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    kills = 0
    while True:
        with monkeypatch.context() as patch:
            killer = Killer(patch, kills)
            try:
                predict(job)
            except Interrupted:
                pass
        if not killer.struck:
            return kills
        check_between()
        predict(job)
        check_at_end()
        shutil.rmtree(folder)
        shutil.copytree(backup, folder)
        kills += 1


def stop_before_commit(monkeypatch, job):
    """Run all tasks of `job`, and no further."""

    def stop(*args):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(commit, "assemble", stop)
        with pytest.raises(Interrupted):
            predict(job)


@pytest.fixture
def lake(tmp_path):
    """Three files, one row of them bad, and an output in a folder of its own."""
    for number in range(3):
        helpers.parquet(tmp_path / "in" / f"{number}.parquet", range(number * 10, number * 10 + 10))
    helpers.parquet(tmp_path / "in" / "3.parquet", [30, -31, 32])
    (tmp_path / "work").mkdir()
    return tmp_path


def job(lake, **options):
    helpers.model(lake, COUNTING)
    # a shard per file
    options = {"max_bad": "1", "shard_size": "1", **options}
    return helpers.job(f"{lake}/model.py:Model", lake / "in", lake / "work" / "out", **options)


def check_complete(lake, ids):
    out = lake / "work" / "out"
    assert sorted(helpers.ids(out)) == sorted(ids)
    assert [letter["row"] for letter in helpers.bad(out)] == [1]
    assert (out / "_SUCCESS").exists()
    assert helpers.names(lake / "work") == ["out"]


IDS = [*range(31), 32]


def test_killed_at_any_step_of_a_first_commit(lake, monkeypatch):
    stop_before_commit(monkeypatch, job(lake))
    helpers.seen(lake)

    def between():
        out = lake / "work" / "out"
        if out.exists():
            assert (out / "_SUCCESS").exists()
            assert len(helpers.rows(out)) == len(IDS)

    kills = kill_everywhere(
        monkeypatch, lake / "work", job(lake, resume=True), between,
        lambda: check_complete(lake, IDS),
    )  # fmt: skip
    assert kills > 15
    assert helpers.seen(lake) == []


def test_killed_at_any_step_of_replacing_an_output(lake, monkeypatch):
    """The old output is of another model."""
    out = lake / "work" / "out"
    old = helpers.model(lake, helpers.DOUBLER.replace("twice", "old"), "old.py")
    helpers.run(old, lake / "in", out)
    stop_before_commit(monkeypatch, job(lake, overwrite=True))

    def between():
        found = out if out.exists() else helpers.staging(out) / "old"
        assert (found / "_SUCCESS").exists()
        kinds = {next(k for k in row if k != "id") for row in helpers.rows(found)}
        assert (kinds, len(helpers.rows(found))) in [({"old"}, 33), ({"twice"}, 32)]

    kill_everywhere(
        monkeypatch, lake / "work", job(lake, resume=True), between,
        lambda: check_complete(lake, IDS),
    )  # fmt: skip


def test_killed_at_any_step_of_adding_to_an_output(lake, monkeypatch):
    predict(job(lake))
    helpers.parquet(lake / "in" / "1b.parquet", range(100, 103))
    helpers.seen(lake)
    grown = job(lake, resume=True)
    stop_before_commit(monkeypatch, grown)
    assert sorted(helpers.seen(lake)) == [100.0, 101.0, 102.0]
    kill_everywhere(
        monkeypatch, lake / "work", grown, lambda: None,
        lambda: check_complete(lake, [*IDS, 100, 101, 102]),
    )  # fmt: skip


def test_input_that_grows_after_a_kill_just_after_the_commit(lake, monkeypatch):
    """The shards in the staging folder have no parts any more: they are in the output."""
    stop_before_commit(monkeypatch, job(lake))
    with monkeypatch.context() as patch:
        patch.setattr(commit.Staging, "delete", lambda staging: Killer(patch, 0).struck)
        predict(job(lake, resume=True))
    assert helpers.staging(lake / "work" / "out").exists()
    helpers.parquet(lake / "in" / "4.parquet", range(40, 43))
    predict(job(lake, resume=True))
    check_complete(lake, [*IDS, 40, 41, 42])


def test_output_that_somebody_else_made_meanwhile_stays(lake, monkeypatch):
    stop_before_commit(monkeypatch, job(lake))
    out = lake / "work" / "out"

    def appear(*args):
        real(*args)
        out.mkdir()
        (out / "theirs").write_text("x")

    real = commit.assemble
    monkeypatch.setattr(commit, "assemble", appear)
    with pytest.raises(JobError, match="made by somebody else"):
        predict(job(lake))
    assert helpers.names(out) == ["theirs"]


def test_old_output_comes_back_when_the_new_one_cannot_take_its_place(lake, monkeypatch):
    predict(job(lake))
    out, real = lake / "work" / "out", LocalStorage.rename

    def rename(storage, source, target):
        if source.endswith("/final"):
            raise OSError(5, "Input/output error")
        real(storage, source, target)

    monkeypatch.setattr(LocalStorage, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        predict(job(lake, overwrite=True))
    assert (out / "_SUCCESS").exists()
    assert sorted(helpers.ids(out)) == IDS
