"""What inline and local have in common."""

import os

import pytest

from mrmodel.errors import UsageError
from mrmodel.runners.base import Launch, launcher_for
from mrmodel.runners.inline import InlineLauncher
from mrmodel.runners.local import LocalLauncher
from mrmodel.runners.sim import write_manifest
from mrmodel.shards.plan import Plan, Source
from mrmodel.shards.shard import Piece, Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.storage import write_json
from mrmodel.tasks.run import shards_of_manifest
from mrmodel.tasks.staging import Staging


def shards(*sizes):
    return [Shard((Piece(f"/{n}", 0, size, size),)) for n, size in enumerate(sizes)]


def plan_of(*sources, format="text"):
    return Plan(format, None, None, (), tuple(sources), ())


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    all_ = [Shard((Piece("/a\tb\n{é}", 1, 2, 3, 0.5, {"d": "x"}),), 7), *shards(1, 2)]
    path = write_manifest(tmp_path / "manifest", all_)
    with path.open("rb") as lines:
        assert shards_of_manifest(lines) == all_


def test_inline_and_local_cut_large_inputs_alike():
    plan = plan_of(
        *(Source(f"/{n}", size << 20, splittable=True) for n, size in enumerate([8, 64]))
    )
    options = ExecutionSpec(workers=os.cpu_count())
    found = LocalLauncher().shards(plan, 8 << 20, options)
    assert InlineLauncher().shards(plan, 8 << 20, options) == found
    assert max(s.length for s in found) <= 1.1 * (8 << 20)


def test_local_workers_all_get_something():
    """Even of a file that is too small to be cut for another reason."""
    plan = plan_of(Source("/a", 500_000, splittable=True))
    assert len(InlineLauncher().shards(plan, 128 << 20, ExecutionSpec())) == 1
    lengths = [s.length for s in LocalLauncher().shards(plan, 128 << 20, ExecutionSpec(workers=4))]
    assert lengths == [125_000] * 4


def test_files_that_an_earlier_run_has_cut_stay_as_they_are():
    a, b = (Source(f"/{name}", 9_000_000, splittable=True) for name in "ab")
    earlier = (Shard((b.piece(0, 5),)), Shard((b.piece(5, 8_999_995),)))
    for launcher in (InlineLauncher(), LocalLauncher()):
        found = launcher.shards(plan_of(a, b), 128 << 20, ExecutionSpec(workers=2), earlier)
        assert found[-2:] == earlier
        assert {piece.uri for shard in found[:-2] for piece in shard.pieces} == {"/a"}


@pytest.mark.parametrize("quoted", ["a line\nand another", "one line"])
def test_a_csv_file_with_line_breaks_in_fields_is_not_cut_for_the_workers(tmp_path, quoted):
    path = tmp_path / "a.csv"
    path.write_text("x,text\n" + f'1,"{quoted}"\n' * 2000)
    source = Source(str(path), path.stat().st_size, splittable=True)
    many = 1 if "\n" in quoted else 2
    found = LocalLauncher().shards(
        plan_of(source, format="csv"), 128 << 20, ExecutionSpec(workers=2)
    )
    assert len(found) == many
    # what --shard-size itself cuts is cut: the file may be too large to look through
    cut = LocalLauncher().shards(plan_of(source, format="csv"), 8000, ExecutionSpec(workers=2))
    assert len(cut) > 2


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
