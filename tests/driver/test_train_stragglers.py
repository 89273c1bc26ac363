"""`--sync local --min-shards`: rounds that go on without their last shards."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mrmodel.driver.passes import _check_late
from mrmodel.errors import LedgerError, UsageError
from mrmodel.shards.shard import Piece, Shard
from mrmodel.training.buckets import Tally
from tests.driver.helpers import Listener

from .test_train import go, lake, table, weights  # noqa: F401 fixtures
from .test_train_local import LOCAL, by_hand

# sleeps on the rows of one file, as long as the file "slow" is there, and notes its steps
SLOW = """
import pathlib, time
from quick import Net as Quick

class Net(Quick):
    def forward(self, x):
        slow = pathlib.Path(__file__).parent / "slow"
        if slow.exists() and x[:, 3].mean() > 50:
            with slow.open("a") as file:
                file.write(".")
            time.sleep(1)
        return super().forward(x)
"""
STEPS = 25  # that many seconds for the shard that sleeps


def late_files(lake):  # noqa: F811
    """The files of the shards that were late, round by round."""
    lines = (lake / "ck" / "metrics.jsonl").read_text().splitlines()
    return [[n.partition(" from ")[0] for n in json.loads(one)["late_shards"]] for one in lines]


def assert_by_hand(lake, rounds, steps, late):  # noqa: F811
    expected = by_hand(lake / "ck", rounds, steps, late=late)
    for name, value in weights(lake, rounds).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-10)


def test_late_shards_go_on_in_the_next_round(lake):  # noqa: F811
    """One task after the other, so that it is known who is late: who was late comes first in the
    next round, which a resumed run knows, too. The second of the four files is empty."""
    listener = Listener()
    test = (str(lake / "in" / "0.parquet"),)
    options = {**LOCAL, "min_shards": "1/2", "validation": test}
    run = go(lake, listener, rounds=2, **options)
    go(lake, rounds=4, resume=True, **options)
    files = [str(lake / "in" / f"{n}.parquet") for n in range(4)]
    late = [[files[3]], [files[1], files[2]], [files[0], files[3]], [files[1], files[2]]]
    assert late_files(lake) == late
    assert_by_hand(lake, 4, LOCAL["inner_steps"], late)
    said = f"round 2 goes on without 2 of 4 shards: {files[1]} from byte 0, {files[2]} from byte 0"
    assert said in listener.said
    one, two = run.history
    assert one["rows"] == 5 * 3 + 5 * 16 and one["bytes"] * 2 == two["bytes"] * 3


@pytest.fixture
def slow(lake):  # noqa: F811
    """The lake with a file for each of three workers, of which the last is slow."""
    shutil.rmtree(lake / "in")
    random = np.random.default_rng(5)
    for number in range(3):
        features = random.normal(size=(80, 4)).astype(np.float32)
        features[:, 3] += 100 * (number == 2)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), 4)
        classes = pa.array((features[:, 0] > 0).astype(np.int64))
        (lake / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table({"f": vectors, "y": classes}), lake / "in" / f"{number}.parquet")
    (lake / "net.py").rename(lake / "quick.py")
    (lake / "net.py").write_text(SLOW)
    (lake / "slow").touch()
    return lake


def test_a_slow_shard_does_not_hold_up_the_others(slow):
    """In the next round, which waits for all, it begins at its beginning."""
    lake = slow  # noqa: F811
    options = {**LOCAL, "inner_steps": STEPS, "runner": "local", "workers": 3}
    go(lake, rounds=1, min_shards=0.66, **options)
    late = [[str(lake / "in" / "2.parquet")]]
    assert late_files(lake) == late
    assert len((lake / "slow").read_text()) < STEPS
    assert_by_hand(lake, 1, STEPS, late)
    (lake / "slow").unlink()
    go(lake, rounds=2, resume=True, **{**options, "runner": "inline"})
    assert_by_hand(lake, 2, STEPS, [*late, []])


def test_all_shards_are_waited_for_where_all_are_asked_for(lake):  # noqa: F811
    go(lake, output="all", rounds=2, **LOCAL)
    go(lake, rounds=2, min_shards="4/4", **LOCAL)
    one, two = weights(lake, 2, "all"), weights(lake, 2)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert late_files(lake) == [[], []]


@pytest.mark.parametrize("share", ["0/4", "5/4", "3/0", "3", "0.0", "75%", "", 1.5, -0.5])
def test_what_is_no_share(lake, share):  # noqa: F811
    with pytest.raises(UsageError, match="--min-shards: expected a share .* but received"):
        go(lake, sync="local", min_shards=share)
    assert not (lake / "ck").exists()


@pytest.mark.parametrize("sync", ["gradient", "allreduce"])
def test_other_training_needs_every_shard(lake, sync):  # noqa: F811
    with pytest.raises(UsageError, match=f"expected --sync local but received --sync {sync}"):
        go(lake, sync=sync, min_shards="3/4")


@pytest.mark.parametrize("late", [("a", "b"), ("a", "a"), ("x",), ("c",)])
def test_books_that_do_not_balance(late):
    """Too many, one twice, one that nobody knows, one that was late in the round before."""
    shards = tuple(Shard((Piece(f"/{n}", 0, 1, 1),)) for n in range(4))
    keys = {name: shard.key for name, shard in zip("abcd", shards, strict=True)}

    class Data:
        pass

    Data.shards = shards
    tally = Tally(rows=1, shards=4, late=tuple(keys.get(name, name) for name in late))
    with pytest.raises(LedgerError, match="at most 1 of 4 shards to be late"):
        _check_late(tally, Data, {"least": 3, "required": [keys["c"]]})
