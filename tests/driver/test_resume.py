"""--resume, --overwrite, and outputs that are there already."""

import pytest

from mrmodel.errors import JobError, OutputExistsError, TooManyBadRowsError, UsageError
from tests.driver import helpers
from tests.driver.helpers import (
    COUNTING,
    Listener,
    bad,
    ids,
    jsonl,
    model,
    names,
    parquet,
    run,
    seen,
)

# fails at the shard that holds 20, but only until the file "mended" is there
BREAKING = COUNTING.replace(
    'if (batch["x"] < 0).any():',
    'mended = (self.seen.parent / "mended").exists()\n'
    '            if 20 in batch["x"] and not mended:\n'
    '                return {"twice": []}\n'
    '            if (batch["x"] < 0).any():',
)


@pytest.fixture
def lake(tmp_path):
    for number in range(3):
        parquet(tmp_path / "in" / f"{number}.parquet", range(number * 10, number * 10 + 10))
    model(tmp_path, COUNTING)
    return tmp_path


def go(lake, watcher=None, **options):
    """Predict with a shard per file."""
    options = {"shard_size": "1", **options}
    return run(f"{lake}/model.py:Model", lake / "in", lake / "out", watcher, **options)


def test_an_output_is_not_touched_without_a_word(lake):
    go(lake)
    before = (lake / "out" / "part-00000.parquet").stat().st_mtime_ns
    with pytest.raises(OutputExistsError, match="--overwrite to replace it, --resume") as raised:
        go(lake)
    assert raised.value.exit_code == 2
    assert (lake / "out" / "part-00000.parquet").stat().st_mtime_ns == before


def test_overwrite(lake):
    go(lake)
    parquet(lake / "in" / "3.parquet", [30])
    go(lake, overwrite=True)
    assert ids(lake / "out") == list(range(31))
    assert names(lake) == ["in", "model.py", "out", "seen"]


def test_overwrite_that_fails_keeps_the_old_output(lake):
    go(lake)
    model(lake, COUNTING.replace("* 2", "[1:]"))
    with pytest.raises(JobError):
        go(lake, overwrite=True)
    assert ids(lake / "out") == list(range(30))
    assert (lake / "out" / "_SUCCESS").exists()


def test_resume_after_a_failure_runs_only_the_rest(lake):
    model(lake, BREAKING)
    with pytest.raises(JobError):
        go(lake)
    assert not (lake / "out").exists()
    assert len(seen(lake)) >= 20
    (lake / "mended").touch()
    listener = Listener()
    found = go(lake, listener, resume=True)
    assert seen(lake) == [float(n) for n in range(20, 30)]
    assert ids(lake / "out") == list(range(30))
    assert listener.said == ["resuming: 2 of 3 shards are finished"]
    assert found.kept == 2


def test_without_resume_everything_runs_again(lake):
    model(lake, BREAKING)
    with pytest.raises(JobError):
        go(lake)
    (lake / "mended").touch()
    seen(lake)
    go(lake)
    assert seen(lake) == [float(n) for n in range(30)]


def test_resume_of_a_complete_output_runs_nothing(lake):
    go(lake)
    seen(lake)
    listener = Listener()
    assert go(lake, listener, resume=True).rows["in"] == 30
    assert seen(lake) == []
    assert listener.said == ["every shard was finished already: nothing to run"]


def test_resume_after_the_input_grew(lake):
    go(lake)
    seen(lake)
    parquet(lake / "in" / "1b.parquet", [100, 101])
    found = go(lake, resume=True)
    assert seen(lake) == [100.0, 101.0]
    assert ids(lake / "out") == [*range(20), 100, 101, *range(20, 30)]
    assert (found.kept, found.rows["in"]) == (3, 32)


def test_resume_after_the_input_shrank(lake):
    go(lake)
    (lake / "in" / "1.parquet").unlink()
    go(lake, resume=True)
    assert ids(lake / "out") == [*range(10), *range(20, 30)]


def test_resume_after_a_file_changed(lake):
    go(lake)
    seen(lake)
    parquet(lake / "in" / "1.parquet", range(50, 55))
    go(lake, resume=True)
    assert seen(lake) == [50.0, 51.0, 52.0, 53.0, 54.0]
    assert ids(lake / "out") == [*range(10), *range(50, 55), *range(20, 30)]


@pytest.mark.parametrize("change", ["weights", "code", "args", "keep", "output_format"])
def test_resume_with_another_model_runs_everything(lake, change):
    (lake / "weights.pt").write_bytes(b"one")
    options = {"weights": str(lake / "weights.pt")}
    code = COUNTING.replace(
        "def load", "def __init__(self, n=0):\n            pass\n\n        def load"
    )
    model(lake, code)
    go(lake, **options)
    seen(lake)
    if change == "weights":
        (lake / "weights.pt").write_bytes(b"two")
    elif change == "code":
        model(lake, code.replace("* 2", "* 3"))
    else:
        options[change] = {"args": {"n": 1}, "keep": ("x",), "output_format": "jsonl"}[change]
    listener = Listener()
    found = go(lake, listener, resume=True, **options)
    assert len(seen(lake)) == 30
    assert found.kept == 0
    assert "0 of 3 shards are finished (the " in listener.said[0]
    assert len(helpers.rows(lake / "out")) == 30


def test_resume_when_more_input_changes_the_inferred_types(tmp_path):
    """Parts of one output must have one type per column."""
    jsonl(tmp_path / "in" / "a.jsonl", [{"id": n, "x": n} for n in range(3)])
    model(tmp_path, COUNTING)
    go(tmp_path)
    seen(tmp_path)
    jsonl(tmp_path / "in" / "b.jsonl", [{"id": 0.5, "x": 0.5}])
    go(tmp_path, resume=True)
    assert len(seen(tmp_path)) == 4
    assert ids(tmp_path / "out") == [0.0, 1.0, 2.0, 0.5]
    assert {type(found) for found in ids(tmp_path / "out")} == {float}


def test_resume_with_a_larger_max_bad_only_adds_success(lake):
    parquet(lake / "in" / "3.parquet", [-1, 31])
    with pytest.raises(TooManyBadRowsError, match="--resume and a larger --max-bad"):
        go(lake)
    part = lake / "out" / "part-00003.parquet"
    before = (part.stat().st_mtime_ns, part.stat().st_ino)
    seen(lake)
    with pytest.raises(TooManyBadRowsError):
        go(lake, resume=True)
    assert not (lake / "out" / "_SUCCESS").exists()
    found = go(lake, resume=True, max_bad="1")
    assert found.success
    assert (lake / "out" / "_SUCCESS").exists()
    assert seen(lake) == []
    assert (part.stat().st_mtime_ns, part.stat().st_ino) == before


def test_resume_of_an_output_that_was_accepted_stays_accepted(lake):
    parquet(lake / "in" / "3.parquet", [-1, 31])
    go(lake, max_bad="1")
    assert go(lake, resume=True).success


def test_dead_letters_survive_a_resume(lake):
    parquet(lake / "in" / "3.parquet", [-1, 31])
    lines = [{"id": n, "x": n, "pad": "." * 90} for n in range(25_000)]
    lines[24_000] = "{broken"
    jsonl(lake / "in2" / "a.jsonl", lines)
    ref, out = f"{lake}/model.py:Model", lake / "out"
    run(ref, lake / "in2", out, shard_size="1MB", max_bad="9")
    jsonl(lake / "in2" / "b.jsonl", [{"id": 1, "x": -5}])
    for _ in range(2):
        found = run(ref, lake / "in2", out, shard_size="1MB", max_bad="9", resume=True)
        assert found.rows["bad"] == 2
        assert [(b["row"], b["error"]) for b in bad(out)] == [
            (24_000, "JSONDecodeError"), (0, "ValueError"),
        ]  # fmt: skip


def test_resume_by_another_number_of_workers_keeps_the_cut(tmp_path):
    """One row group is a shard for one worker, and two for two."""
    parquet(tmp_path / "in" / "a.parquet", [*range(2000), -1])
    ref = model(tmp_path, COUNTING)
    options = {"runner": "local", "workers": 2}
    with pytest.raises(TooManyBadRowsError):
        run(ref, tmp_path / "in", tmp_path / "out", **options)
    assert names(tmp_path / "out") == [
        "_bad",
        "_mrmodel",
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    seen(tmp_path)
    found = run(ref, tmp_path / "in", tmp_path / "out", resume=True, max_bad="1")
    assert found.success
    assert seen(tmp_path) == []
    parquet(tmp_path / "in" / "b.parquet", [5000])
    options = {"runner": "local", "workers": 1, "resume": True, "max_bad": "1"}
    found = run(ref, tmp_path / "in", tmp_path / "out", **options)
    assert (found.kept, seen(tmp_path)) == (2, [5000.0])
    assert ids(tmp_path / "out") == [*range(2000), 5000]


# it breaks when the other worker is done
BREAKING_LAST = BREAKING.replace("20 in", "1999 in").replace(
    '                return {"twice": []}\n',
    '                done = self.seen.parent / ".out.mrmodel" / "done"\n'
    "                while not (done.exists() and os.listdir(done)):\n"
    "                    time.sleep(0.05)\n"
    '                return {"twice": []}\n',
)


def test_resume_of_a_broken_run_keeps_its_cut(tmp_path):
    parquet(tmp_path / "in" / "a.parquet", range(2000))
    ref = model(tmp_path, BREAKING_LAST)
    with pytest.raises(JobError):
        run(ref, tmp_path / "in", tmp_path / "out", runner="local", workers=2)
    (tmp_path / "mended").touch()
    seen(tmp_path)
    found = run(ref, tmp_path / "in", tmp_path / "out", resume=True)
    assert found.kept == 1
    again = sorted(seen(tmp_path))
    assert again == [float(n) for n in range(2000 - len(again), 2000)]
    assert len(again) == pytest.approx(1000, abs=2)
    assert ids(tmp_path / "out") == list(range(2000))


def test_a_file_that_changed_is_cut_anew(tmp_path):
    parquet(tmp_path / "in" / "a.parquet", range(2000))
    ref, options = model(tmp_path, COUNTING), {"runner": "local", "workers": 2}
    run(ref, tmp_path / "in", tmp_path / "out", **options)
    parquet(tmp_path / "in" / "a.parquet", range(3000))
    found = run(ref, tmp_path / "in", tmp_path / "out", resume=True)
    assert (found.kept, len(found.shards)) == (0, 1)
    assert ids(tmp_path / "out") == list(range(3000))


def test_resume_refuses_what_mrmodel_did_not_make(lake):
    (lake / "out").mkdir()
    (lake / "out" / "theirs").touch()
    with pytest.raises(UsageError, match="has no _mrmodel/run.json"):
        go(lake, resume=True)
    assert names(lake / "out") == ["theirs"]


def test_the_output_may_not_hold_the_input(lake):
    """--overwrite would delete it."""
    for output in (lake / "in", lake):
        with pytest.raises(UsageError, match="lies in the output"):
            run(f"{lake}/model.py:Model", lake / "in", output, overwrite=True)
    assert len(names(lake / "in")) == 3


def test_predictions_are_not_read_as_input(lake):
    out, keep = lake / "in" / "out", ("id", "x")
    run(f"{lake}/model.py:Model", lake / "in", out, keep=keep)
    with pytest.raises(UsageError, match="lies in the output"):
        run(f"{lake}/model.py:Model", lake / "in", out, keep=keep, overwrite=True)
    assert len(ids(out)) == 30


def test_a_task_of_an_earlier_run_cannot_finish_a_shard(lake):
    """It goes on writing while --resume has taken its folder away: there would be a record
    without rows."""
    from mrmodel.driver.target import open_target, prepare_staging
    from mrmodel.specs import OutputSpec

    target = open_target(OutputSpec(str(lake / "out")))
    prepare_staging(target, {"model": "a"}, resume=False)
    folder = target.staging.start("attempt_1", "shard")
    (helpers.Path(folder) / "part.parquet").write_bytes(b"rows")
    prepare_staging(target, {"model": "a"}, resume=True)
    record = {"shard": "shard", "part": "part.parquet", "rows": {"in": 1, "ok": 1, "bad": 0}}
    with pytest.raises(JobError, match="was taken away"):
        target.staging.finish(folder, "shard", record)
    assert target.staging.records() == {}
