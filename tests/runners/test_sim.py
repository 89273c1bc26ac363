"""What inline and local have in common."""

import pytest

from mrmodel.errors import UsageError
from mrmodel.runners.base import Launch, launcher_for
from mrmodel.runners.inline import InlineLauncher
from mrmodel.runners.local import LocalLauncher
from mrmodel.runners.sim import balanced, write_manifest
from mrmodel.shards.plan import Plan, Source
from mrmodel.shards.shard import Piece, Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.storage import write_json
from mrmodel.tasks.run import shards_of_manifest
from mrmodel.tasks.staging import Staging


def shards(*sizes):
    return [Shard((Piece(f"/{n}", 0, size, size),)) for n, size in enumerate(sizes)]


def loads(groups):
    return sorted(sum(shard.length for shard in group) for group in groups)


def test_groups_have_about_the_same_bytes():
    all_ = shards(*[10, 90, 20, 80, 30, 70, 40, 60, 50, 50])
    groups = balanced(all_, 5)
    assert loads(groups) == [100] * 5
    assert sorted(s.pieces[0].uri for group in groups for s in group) == [
        f"/{n}" for n in range(10)
    ]
    for group in groups:
        assert group == sorted(group, key=all_.index)  # in input order


def test_no_more_groups_than_shards():
    assert len(balanced(shards(1, 2), 8)) == 2
    assert balanced([], 8) == []
    assert loads(balanced(shards(0, 0, 0, 0), 2)) == [0, 0]
    assert [len(group) for group in balanced(shards(0, 0, 0, 0), 2)] == [2, 2]


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    all_ = [Shard((Piece("/a\tb\n{é}", 1, 2, 3, 0.5, {"d": "x"}),), 7), *shards(1, 2)]
    path = write_manifest(tmp_path / "manifest", all_)
    with path.open("rb") as lines:
        assert shards_of_manifest(lines) == all_


def test_inline_and_local_cut_alike():
    """So that one can resume what the other began."""
    sources = tuple(
        Source(f"/{n}", size << 20, splittable=True) for n, size in enumerate([1, 64, 3])
    )
    plan = Plan("text", None, None, (), sources, ())
    assert InlineLauncher().shards(plan, 8 << 20) == LocalLauncher().shards(plan, 8 << 20)
    assert max(s.length for s in LocalLauncher().shards(plan, 8 << 20)) <= 1.1 * (8 << 20)


@pytest.mark.parametrize("name", ["inline", "local", "hadoop"])
def test_launchers_by_name(name):
    launcher = launcher_for(name)
    assert type(launcher).__name__ == f"{name.title()}Launcher"
    assert launcher.snapshot().done == 0


def test_unknown_launchers():
    with pytest.raises(UsageError, match="expected one of inline, local, hadoop$"):
        launcher_for("spark")


def test_progress_is_what_the_tasks_say(tmp_path):
    launcher = InlineLauncher()
    staging = Staging(str(tmp_path / "staging"))
    (tmp_path / "progress").mkdir()
    launcher._launch = Launch(None, None, None, (), frozenset(), ExecutionSpec(), tmp_path, staging)
    assert launcher.snapshot().rows == 0
    for name, rows in (("a", 5), ("b", 7)):
        write_json(str(tmp_path / "progress" / f"{name}.json"), {"rows in": rows, "rows bad": 1})
    (tmp_path / "progress" / "c.json").write_text("{half")
    staging.finish(staging.start("a", "k"), "k", {"part": None, "rows": {"bad": 0}})
    found = launcher.snapshot()
    assert (found.rows, found.bad, found.done) == (12, 2, 1)
