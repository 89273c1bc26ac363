"""Local training: steps by shards, averages by rows, an outer optimiser."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from mrmodel.errors import JobError
from mrmodel.shards.shard import Shard
from mrmodel.training.buckets import decompress
from mrmodel.training.compression import feed_back
from tests.driver.helpers import Listener, names

from .test_train import MODEL, ROWS, go, lake, table, weights  # noqa: F401 fixtures

LOCAL = {"sync": "local", "inner_steps": 5, "batch_size": 16, "optimizer": "adam", "lr": 0.05}


def batches(rows, shard, count, taken, batch_size=16, seed=0):
    """The batches that a shard's `count` steps see, after `taken` ones."""
    found, epoch = [], 0
    while len(found) < taken + count:
        random = np.random.default_rng([seed, epoch, int(shard.key, 16)])
        order = random.permutation(rows.num_rows)
        for begin in range(0, rows.num_rows, batch_size):
            found.append(rows.take(order[begin : begin + batch_size]))
        epoch += 1
    return found[taken : taken + count]


def by_hand(folder, rounds, steps, outer_lr=0.7, momentum=0.9, late=(), dtype=None):
    """DiLoCo in one process, over the shards that the run made; `late` are the files that each
    round goes on without, `dtype` is what deltas are compressed to."""
    namespace = {}
    exec(MODEL, namespace)
    torch.manual_seed(0)
    net = namespace["Net"]().double()
    outer = torch.optim.SGD(net.parameters(), lr=outer_lr, momentum=momentum, nesterov=momentum > 0)
    shards = json.loads((folder / "_mrmodel" / "shards.json").read_text())
    late = late or [()] * rounds
    workers, taken, left = [], Counter(), {}
    for shard in map(Shard.from_dict, shards):
        inner = namespace["Net"]().double()
        rows = pq.read_table(shard.pieces[0].uri)
        workers.append((shard, rows, inner, torch.optim.Adam(inner.parameters(), lr=0.05)))
    for number in range(rounds):
        ways, seen = [], []
        for shard, rows, inner, optimizer in workers:
            file = shard.pieces[0].uri
            if file in late[number]:
                continue
            inner.load_state_dict(net.state_dict())
            count = 0
            for some in batches(rows, shard, steps, taken[file]) if rows.num_rows else []:
                x = torch.tensor(some["f"].to_pylist(), dtype=torch.float32).double()
                loss = torch.nn.functional.cross_entropy(
                    inner(x), torch.tensor(some["y"].to_pylist())
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                count += some.num_rows
            taken[file] += steps
            pairs = zip(net.parameters(), inner.parameters(), strict=True)
            way = [(a - b).detach() for a, b in pairs]
            ways.append(sent(net, way, left, file, dtype) if dtype and count else way)
            seen.append(count)
        for index, parameter in enumerate(net.parameters()):
            total = sum(way[index] * rows for way, rows in zip(ways, seen, strict=True))
            parameter.grad = total / sum(seen)
        outer.step()
    return net.state_dict()


def sent(net, way, left, file, dtype):
    """`way` as the others get it; what that takes from it is in `left`. All is one bucket."""
    order = sorted(range(len(way)), key=lambda i: [name for name, _ in net.named_parameters()][i])
    flat = torch.cat([way[i].flatten() for i in order])
    value, left[file] = feed_back(flat, left.get(file), dtype, 1)
    parts = torch.from_numpy(decompress(value)[0]).double().split([way[i].numel() for i in order])
    return [parts[order.index(i)].view(way[i].shape) for i in range(len(way))]


@pytest.mark.parametrize(("outer_lr", "momentum"), [(1.0, 0.0), (0.7, 0.9)])
@pytest.mark.parametrize("runner", ["inline", "local"])
def test_equal_to_diloco_in_one_process(lake, runner, outer_lr, momentum):  # noqa: F811
    """With uneven shards and one without rows."""
    go(lake, runner=runner, workers=2, outer_lr=outer_lr, outer_momentum=momentum, **LOCAL)
    expected = by_hand(lake / "ck", 3, 5, outer_lr, momentum)
    found = weights(lake, 3)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-10)


def test_it_learns_with_few_rounds(lake):  # noqa: F811
    run = go(lake, **{**LOCAL, "inner_steps": 40}, validation=(str(lake / "in"),), rounds=4)
    assert run.history[-1]["validation_loss"] < 0.6 * run.history[0]["loss"]
    assert run.history[0]["rows"] > ROWS  # steps, not rows of the input


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_resumed_training_comes_to_the_same_bits(lake, schedule):  # noqa: F811
    go(lake, rounds=4, lr_schedule=schedule, **LOCAL)
    whole = weights(lake, 4)
    shutil.rmtree(lake / "ck" / "round-000004")
    listener = Listener()
    go(lake, listener, rounds=4, lr_schedule=schedule, resume=True, **LOCAL)
    assert listener.said[0] == "resuming after round 3"
    assert all(torch.equal(whole[name], value) for name, value in weights(lake, 4).items())


def test_a_damaged_checkpoint_gives_way_to_the_one_before(lake):  # noqa: F811
    go(lake, rounds=4, **LOCAL)
    whole = weights(lake, 4)
    path = lake / "ck" / "round-000004" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    go(lake, rounds=4, resume=True, **LOCAL)
    assert all(torch.equal(whole[name], value) for name, value in weights(lake, 4).items())


def test_only_what_is_needed_of_the_inner_state_is_kept(lake):  # noqa: F811
    go(lake, rounds=4, **LOCAL)
    assert names(lake / "ck" / "_inner") == ["round-000003", "round-000004"]


def test_a_state_that_is_missing_is_named(lake):  # noqa: F811
    go(lake, rounds=2, **LOCAL)
    shutil.rmtree(lake / "ck" / "_inner")
    with pytest.raises(JobError, match="is missing: the state of an inner optimiser after round 2"):
        go(lake, rounds=3, resume=True, **LOCAL)


def test_the_model_s_own_optimizer(lake):  # noqa: F811
    run = go(lake, model="Lit", inputs=None, label="y", sync="local", inner_steps=5, rounds=4)
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_adamw_where_nobody_said_another(lake):  # noqa: F811
    options = {k: v for k, v in LOCAL.items() if k != "optimizer"}
    go(lake, output="a", **options)
    go(lake, output="b", **options, optimizer="adamw")
    one, two = weights(lake, 3, "a"), weights(lake, 3, "b")
    assert all(torch.equal(one[name], two[name]) for name in one)
