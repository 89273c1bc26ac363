"""How the input of a job is cut: asked for, chosen, or as before."""

from types import SimpleNamespace

import pytest

from mrmodel.driver.cut import Cutter
from mrmodel.driver.earlier import write_shards
from mrmodel.driver.rates import rate_key, remember_rate, remembered_rate
from mrmodel.driver.target import Target
from mrmodel.runners.hadoop import HadoopLauncher
from mrmodel.shards.plan import Plan, Source
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.staging import Staging

MB = 1 << 20
IDENTITY = {"model": "m", "code": "c", "options": "o"}
FILES = SimpleNamespace(weights_bytes=0)
PLAN = Plan(
    "jsonl", None, None, (),
    (Source("hdfs://nn/a", 1024 * MB, block_size=128 * MB, splittable=True),), (),
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MRMODEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def target(tmp_path):
    return Target(str(tmp_path / "out"), False, None, Staging(str(tmp_path / "staging")))


class Cluster(HadoopLauncher):
    """The real cuts, for so many containers."""

    def __init__(self, slots):
        super().__init__()
        self.slots = slots

    def room(self, execution, weights_bytes):
        return self.slots


def go(target, slots, earlier=(), **execution):
    said = []
    spec = ExecutionSpec(**{"runner": "hadoop", **execution})
    cutter = Cutter(Cluster(slots), spec, said.append)
    shards = cutter.shards(target, FILES, PLAN, IDENTITY, 128 * MB, earlier)
    return cutter, shards, said


def record(seconds, nbytes):
    return {"elapsed": seconds, "bytes": nbytes, "pieces": [{}]}


def test_chosen_for_the_containers(target):
    cutter, shards, said = go(target, slots=3)
    assert len(shards) == cutter.told["tasks"] == 24
    assert cutter.told["slots"] == 3 and cutter.told["full"] >= 0.9
    assert len(said) == 1 and said[0].startswith("24 tasks of at most ")


def test_what_is_asked_for_is_done(target):
    cutter, shards, said = go(target, slots=3, shard_size="128MB")
    assert (len(shards), cutter.told, said) == (8, {"shard_size": 128 * MB}, [])


def test_a_resumed_job_keeps_to_the_cut_before(target):
    cutter, shards, _ = go(target, slots=3)
    write_shards(target, shards, cutter.told["shard_size"])
    again, same, said = go(target, slots=5, earlier=shards)
    assert [s.key for s in same] == [s.key for s in shards]
    assert (again.told, said) == ({"shard_size": cutter.told["shard_size"]}, [])


def test_so_it_does_from_a_finished_output(target, tmp_path):
    done = Target(target.uri, True, {"cut": {"shard_size": 32 * MB}}, target.staging)
    _, shards, _ = go(done, slots=3, earlier=("some",))
    assert len(shards) == 32


def test_the_next_job_knows_how_fast_the_model_was(target):
    cutter, _, _ = go(target, slots=3)
    assert cutter.told["seconds"] is None
    cutter.learn([record(64.0, 32 * MB), record(64.0, 32 * MB)])
    cutter, shards, said = go(target, slots=3)
    # half a megabyte a second: 2,048 s of work
    assert len(shards) == cutter.told["tasks"] == 24
    assert cutter.told["seconds"] == pytest.approx(2048 / 24)
    assert "about 1m 25s each" in said[0]
    other = go(target, slots=3, vcores=2)[0]
    assert other.told["seconds"] is None


def test_too_little_work_says_nothing(cache):
    key = rate_key(IDENTITY, "jsonl", ExecutionSpec())
    remember_rate(key, [record(5.0, MB)])
    assert remembered_rate(key) is None
    assert not cache.exists()


@pytest.mark.parametrize("damaged", ["{", "[]", '{"KEY": 5}', '{"KEY": {}}', '{"KEY": null}'])
def test_a_damaged_file_of_rates_is_made_anew(cache, damaged):
    key = rate_key(IDENTITY, "jsonl", ExecutionSpec())
    cache.mkdir()
    (cache / "rates.json").write_text(damaged.replace("KEY", key))
    assert remembered_rate(key) is None
    remember_rate(key, [record(20.0, 20 * MB)])
    assert remembered_rate(key) == MB
