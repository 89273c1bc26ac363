"""Of many attempts at a shard one counts."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from mrmodel import storage
from mrmodel.errors import JobError, ModelError
from mrmodel.tasks.staging import Staging


@pytest.fixture
def staging(tmp_path):
    return Staging(str(tmp_path / ".out.mrmodel"))


def attempt(staging, name, key="shard", text="rows", part="part.jsonl", bad=0):
    """An attempt that has written all, up to the moment in which it finishes."""
    folder = staging.start(name, key)
    if part:
        storage.write_bytes(storage.join(folder, part), text.encode())
    if bad:
        storage.write_bytes(storage.join(folder, "bad.jsonl"), b"{}\n")
    rows = {"in": 1 + bad, "ok": 1, "bad": bad}
    return folder, key, {"shard": key, "part": part, "rows": rows, "attempt": name}


def test_the_first_to_finish_wins(staging):
    first, second = attempt(staging, "a", text="a"), attempt(staging, "b", text="b")
    assert not staging.is_done("shard")
    assert staging.finish(*second) is True
    assert staging.finish(*first) is False
    assert staging.is_done("shard")
    assert staging.records()["shard"]["attempt"] == "b"
    assert storage.read_bytes(staging.folder("done", "shard", "part.jsonl")) == b"b"
    assert storage.storage_for(staging.uri).ls(staging.folder("work")) == []


def test_of_many_at_once_one_wins(staging):
    attempts = [attempt(staging, f"attempt_{n}", text=str(n)) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda each: staging.finish(*each), attempts))
    assert sorted(won) == [False] * 15 + [True]
    winner = won.index(True)
    assert staging.records()["shard"]["attempt"] == f"attempt_{winner}"
    text = storage.read_bytes(staging.folder("done", "shard", "part.jsonl")).decode()
    assert text == str(winner)


def test_an_attempt_starts_with_an_empty_folder(staging):
    attempt(staging, "a")
    assert storage.storage_for(staging.uri).ls(staging.start("a", "shard")) == []


def test_abandoning_leaves_nothing(staging):
    folder, *_ = attempt(staging, "a")
    staging.abandon(folder)
    assert not storage.exists(folder)
    assert staging.records() == {} and staging.count_done() == 0


@pytest.mark.parametrize(("part", "bad"), [("part.jsonl", 0), (None, 1), ("part.jsonl", 1)])
def test_an_attempt_whose_folder_was_taken_away_fails(staging, part, bad):
    """By the driver of a later run; a record without its rows must not count."""
    late = attempt(staging, "late", part=part, bad=bad)
    staging.clear_work()
    with pytest.raises(JobError, match="was taken away"):
        staging.finish(*late)
    assert staging.records() == {}
    assert staging.finish(*attempt(staging, "new", part=part, bad=bad))


def test_clearing_the_work_leaves_what_is_done(staging):
    staging.clear_work()  # nothing there yet
    staging.finish(*attempt(staging, "a", "one"))
    attempt(staging, "b", "two")
    staging.clear_work()
    assert list(staging.records()) == ["one"]
    names = [entry.name for entry in storage.storage_for(staging.uri).ls(staging.uri)]
    assert names == ["done"]


def test_last_words(staging):
    assert staging.errors() == []
    staging.report_error("attempt_2", ValueError("two"), "the stack")
    staging.report_error("attempt_1", ModelError("one", detail="theirs"), "not this", final=True)
    assert staging.errors() == [
        {"type": "ModelError", "message": "one", "detail": "theirs", "final": True},
        {"type": "JobError", "message": "ValueError: two", "detail": "the stack", "final": False},
    ]
    staging.clear_errors()
    assert staging.errors() == []


def test_words_that_are_just_being_written_are_not_read(staging):
    """The driver looks while attempts write."""
    staging.report_error("attempt_1", ModelError("broken"))
    for name in "errors", "seconds", "reduced":
        storage.write_bytes(staging.folder(name, ".0123456789abcdef.tmp"), b"")
    assert [words["message"] for words in staging.errors()] == ["broken"]
    assert staging.told() == {"attempt_1"}
    assert staging.seconds() == []
    assert staging.list_reduced() == []
    assert staging.read_reduced() == {}


def test_names_that_are_not_unicode(staging):
    staging.report_error("attempt", ValueError("a\udcff"))
    assert staging.errors()[0]["message"] == "ValueError: a\udcff"
    folder, key, record = attempt(staging, "a")
    staging.finish(folder, key, {**record, "pieces": [{"uri": "/a\udcff"}]})
    assert staging.records()["shard"]["pieces"] == [{"uri": "/a\udcff"}]


def test_a_deletion_that_was_cut_off_is_not_taken_for_finished_work(staging, monkeypatch):
    """identity.json, without which nothing counts, goes first."""
    storage.write_json(staging.folder("identity.json"), {})
    staging.finish(*attempt(staging, "a"))
    deleted = []
    monkeypatch.setattr(staging._storage, "delete", deleted.append, raising=False)
    staging.delete()
    assert deleted[0] == staging.folder("identity.json")
    assert deleted[-1] == staging.uri


def test_records_are_json_for_people(staging):
    staging.finish(*attempt(staging, "é"))
    text = storage.read_bytes(staging.folder("done", "shard", "record.json")).decode()
    assert json.loads(text)["attempt"] == "é" and "é" in text


def test_a_task_that_outlives_its_job_leaves_the_next_one_alone(staging):
    """Hadoop runs on when the driver is killed; the next job may have another model."""
    staging.write_identity({"model": "old"})
    old = Staging(staging.uri, {"model": "old"})
    assert old.finish(*attempt(old, "a", "one"))
    staging.delete()
    old.report_error("attempt_old", ValueError("nobody asks"))
    with pytest.raises(JobError, match="belongs to another job now"):
        old.finish(*attempt(old, "a", "two"))
    staging.write_identity({"model": "new"})
    with pytest.raises(JobError, match="belongs to another job now"):
        old.finish(*attempt(old, "a", "three"))
    old.report_error("attempt_old", ValueError("nobody asks"))
    assert (staging.records(), staging.errors()) == ({}, [])
    new = Staging(staging.uri, {"model": "new"})
    assert new.finish(*attempt(new, "a", "three"))
    new.report_error("attempt_new", ValueError("told"))
    assert len(staging.errors()) == 1
