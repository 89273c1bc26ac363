"""Training by a gang: equal to torchrun's DistributedDataParallel, and whole again after deaths."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from mrmodel.driver.train import TrainJob, train
from mrmodel.errors import GangError, JobError, ModelError, TooManyBadRowsError, UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec
from tests.driver.helpers import Listener, names

ROWS = 400
MODEL = """
import os, pathlib, signal
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard

HERE = pathlib.Path(__file__).parent


class Net(torch.nn.Module):
    inputs = ["f"]

    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Dropout(dropout),
            torch.nn.Linear(16, 3),
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self(batch["f"]), batch["y"])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


class Dying(Net):
    '''In the middle of the second epoch rank 1 dies, as often as it is told.'''

    times, after = 1, 10
    victim = staticmethod(os.getpid)

    def training_step(self, batch, batch_idx):
        self.seen = getattr(self, "seen", 0) + 1
        notes = sorted(HERE.glob("death-*"))
        if dist.get_rank() == 1 and len(notes) < self.times and self.seen == self.after:
            (HERE / f"death-{len(notes)}").touch()
            os.kill(self.victim(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)


class DyingMember(Dying):
    victim = staticmethod(os.getppid)


class DyingAlways(Dying):
    times, after = 9, 3


class Sharded(Net):
    def configure_model(self):
        mesh = self.device_mesh["data_parallel"]
        for layer in self.layers:
            if list(layer.parameters()):
                fully_shard(layer, mesh=mesh)
        fully_shard(self, mesh=mesh)

    def configure_optimizers(self):
        self.optimizer = super().configure_optimizers()
        return self.optimizer

    def training_step(self, batch, batch_idx):
        if batch_idx == 3:
            weight = self.layers[0].weight
            state = self.optimizer.state[weight]["exp_avg"]
            (HERE / f"local-{dist.get_rank()}").write_text(
                f"{weight.to_local().numel()} {state.to_local().numel()} of {weight.numel()}"
            )
        return super().training_step(batch, batch_idx)


class Nan(Net):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if dist.get_rank() == 1 and batch_idx == 2 else loss


class Broken(Net):
    def training_step(self, batch, batch_idx):
        if dist.get_rank() == 1 and batch_idx == 2:
            raise ValueError("no such luck")
        return super().training_step(batch, batch_idx)
"""
# what people write for torchrun; the order of rows is that of docs/architecture.md
BY_HAND = """
import os, sys
import numpy as np, pyarrow.parquet as pq, safetensors.torch, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
folder, epochs, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, folder)
from net import Net
dist.init_process_group("gloo")
torch.set_num_threads(1)
rank = dist.get_rank()
table = pq.read_table(f"{folder}/in/{rank}.parquet")
x = torch.tensor(np.stack(table["f"].to_numpy()))
y = torch.tensor(table["y"].to_numpy().copy())
torch.manual_seed(0)
net = Net()
model = DistributedDataParallel(net)
optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
for epoch in range(1, epochs + 1):
    order = np.random.default_rng([0, epoch, rank]).permutation(len(y))
    for begin in range(0, len(y), size):
        rows = order[begin : begin + size]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
if rank == 0:
    safetensors.torch.save_file(net.state_dict(), f"{folder}/by-hand.safetensors")
dist.barrier()
os._exit(0)  # gloo's threads abort the process now and then when the group is destroyed
"""


def table(rows, seed=2):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4)).astype(np.float32)
    classes = (features[:, 0] + features[:, 1] > 0).astype(np.int64) + (features[:, 2] > 1)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), 4)
    return pa.table({"f": vectors, "y": classes})


@pytest.fixture
def lake(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2):
        pq.write_table(table(ROWS // 2, number), tmp_path / "in" / f"{number}.parquet")
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


def go(lake, watcher=None, model="Net", uris=None, output="ck", runner="local", workers=2,
       resume=False, overwrite=False, args=None, dtype="float32", max_bad="0", inputs=None,
       **options):  # fmt: skip
    job = TrainJob(
        ModelSpec(f"{lake}/net.py:{model}", args=args or {}, dtype=dtype),
        DataSpec(tuple(map(str, uris or [lake / "in"])), inputs=inputs),
        OutputSpec(str(lake / output), resume=resume, overwrite=overwrite, max_bad=max_bad),
        ExecutionSpec(runner=runner, workers=workers),
        TrainSpec(**{"sync": "allreduce", "rounds": 3, "batch_size": 32, "label": "y", **options}),
    )
    return train(job, watcher)


def weights(lake, number, output="ck"):
    path = lake / output / f"round-{number:06d}" / "weights.safetensors"
    return safetensors.torch.load(path.read_bytes())


def assert_same_bits(one, two):
    assert sorted(one) == sorted(two)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_equal_to_torchrun(lake):
    run = go(lake)
    (lake / "by_hand.py").write_text(BY_HAND)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    words = [str(lake / "by_hand.py"), str(lake), "3", "32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *words], check=True, timeout=120, env=environment)
    expected = safetensors.torch.load((lake / "by-hand.safetensors").read_bytes())
    assert_same_bits(weights(lake, 3), expected)
    assert [line["round"] for line in run.history] == [1, 2, 3]
    assert [line["rows"] for line in run.history] == [ROWS] * 3
    lines = [json.loads(line) for line in (lake / "ck" / "metrics.jsonl").read_text().splitlines()]
    assert lines == run.history
    assert ".ck.mrmodel" not in names(lake)


def test_unequal_shares_weigh_every_row_the_same(lake):
    """A step over all rows is the same as in one process."""
    for number, rows in enumerate((5, 301)):
        pq.write_table(table(rows, number), lake / "in" / f"{number}.parquet")
    options = {"batch_size": 1000, "dtype": "float64", "optimizer": "sgd", "lr": 0.5, "rounds": 2}
    go(lake, **options)
    go(lake, output="alone", runner="inline", workers=1, **options)
    one, two = weights(lake, 2), weights(lake, 2, "alone")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-12)


def test_a_class_that_shards_itself(lake):
    """fully_shard: parameters and the optimiser's state are spread over the gang, and the result
    is the same; so is that of a resumed run."""
    run = go(lake, model="Net", output="whole")
    sharded = go(lake, model="Sharded", rounds=2)
    assert {(lake / f"local-{rank}").read_text() for rank in (0, 1)} == {"32 32 of 64"}
    sharded = go(lake, model="Sharded", resume=True)
    assert sharded.loss == pytest.approx(run.loss, rel=1e-6)
    one, two = weights(lake, 3), weights(lake, 3, "whole")
    assert sorted(one) == sorted(two)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", ["Dying", "DyingMember"])
def test_a_member_that_is_killed(lake, model):
    """The gang goes on from the last checkpoint, to the same result; dropout is no exception.
    Of three: the order in which they add does not matter for two."""
    options = {"workers": 3, "args": {"dropout": 0.2}}
    go(lake, output="whole", **options)
    listener = Listener()
    run = go(lake, listener, model=model, **options)
    assert len(list(lake.glob("death-*"))) == 1
    assert [line["round"] for line in run.history] == [1, 2, 3]
    assert_same_bits(weights(lake, 3), weights(lake, 3, "whole"))
    if model == "Dying":
        told = "worker 1 was killed by signal 9: the workers begin again; rounds up to 1 are in"
        assert any(said.startswith(told) for said in listener.said)


def test_a_gang_that_never_stays_together(lake):
    with pytest.raises(GangError, match="broke 3 times in round 1, last because worker 1 was kil"):
        go(lake, model="DyingAlways", rounds=2)
    assert "round-000001" not in names(lake / "ck")


def test_resume(lake):
    go(lake, output="whole", rounds=4)
    go(lake, rounds=2)
    listener = Listener()
    run = go(lake, listener, rounds=4, resume=True, workers=None)
    assert listener.said[:2] == ["2 workers train together", "resuming after round 2"]
    assert [line["round"] for line in run.history] == [3, 4]
    assert_same_bits(weights(lake, 4), weights(lake, 4, "whole"))
    with pytest.raises(UsageError, match="--resume: --workers differ from what"):
        go(lake, resume=True, workers=1)


def test_one_process_in_the_driver_with_validation_and_a_schedule(lake):
    """By validation_step where there is one."""
    (lake / "net.py").write_text(
        MODEL
        + "\nclass Lit(Net):\n"
        + "    def validation_step(self, batch, batch_idx):\n"
        + "        assert not self.training\n"
        + "        return {'loss': torch.nn.functional.cross_entropy(self(batch['f']), batch['y'])"
        + " + 10}\n"
    )
    run = go(lake, model="Lit", runner="inline", workers=1, lr_schedule="cosine",
             validation=(str(lake / "in" / "1.parquet"),), clip=1.0)  # fmt: skip
    losses = [line["validation_loss"] for line in run.history]
    assert losses[0] > losses[2] > 10
    assert run.validation_loss == losses[2] and run.best_round == 3
    rates = [line["lr"] for line in run.history]
    assert rates[0] == 0.02 and rates[0] > rates[1] > rates[2] > 0


def test_early_stop_and_keep_last(lake):
    run = go(lake, rounds=9, optimizer="sgd", lr=0.0, early_stop=2, keep_last=1,
             validation=(str(lake / "in"),))  # fmt: skip
    assert (run.rounds, run.best_round) == (3, 1)
    assert run.stopped == "no better validation loss in 2 rounds"
    assert [n for n in names(lake / "ck") if n.startswith("round")] == ["round-000003"]


def test_a_real_lightning_module(lake):
    (lake / "net.py").write_text(
        "import lightning\nimport torch\n"
        + MODEL.partition("class Dying")[0].replace(
            "torch.nn.Module)", "lightning.LightningModule)"
        )
    )
    go(lake, output="lightning")
    (lake / "net.py").write_text(MODEL)
    go(lake)
    assert_same_bits(weights(lake, 3), weights(lake, 3, "lightning"))


def test_what_a_worker_says_ends_the_job(lake):
    with pytest.raises(JobError, match=r"the loss is nan in round 1, in batch 3 of worker 1: "):
        go(lake, model="Nan")
    with pytest.raises(ModelError, match="failed in training_step: ValueError: no such luck"):
        go(lake, model="Broken")
    assert ".ck.mrmodel" not in names(lake)


def test_bad_rows(lake):
    bad = table(3).set_column(1, "y", pa.array([None, 1, 2], pa.int64()))
    pq.write_table(bad, lake / "in" / "2.parquet")
    with pytest.raises(TooManyBadRowsError, match="1 of 403 rows cannot be read or lack a value"):
        go(lake)
    run = go(lake, max_bad="1")
    assert (run.history[0]["rows"], run.history[0]["bad"]) == (402, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 3, "uris": ["0.parquet"]}, "--workers 3: the input can be cut into . shards"),
        ({"runner": "inline", "workers": 2}, "--workers 2: -r inline runs one worker"),
        ({"optimizer": "lbfgs"}, "lbfgs looks at all rows in a step: use --sync gradient"),
        ({"optimizer": "nix"}, "--optimizer nix: expected one of .*adam"),
    ],
)
def test_what_cannot_be(lake, options, text):
    if "uris" in options:
        options = {**options, "uris": [lake / "in" / name for name in options["uris"]]}
        pq.write_table(table(5), lake / "in" / "0.parquet")
    with pytest.raises(UsageError, match=text):
        go(lake, **options)
    assert "ck" not in names(lake)
