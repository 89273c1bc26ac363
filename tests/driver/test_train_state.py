"""What training changes beside weights, and batches that memory does not allow."""

import json

import numpy as np
import pytest
import torch

from mrmodel.errors import JobError, OutputExistsError, TooManyBadRowsError
from mrmodel.tasks.local_steps import LocalTask
from mrmodel.training.checkpoints import Checkpoints

from .helpers import Listener, names
from .test_train import MODEL, go, lake, table, weights  # noqa: F401 fixtures

MORE = """

class Normed(Lit):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.register_buffer("fixed", torch.rand(3))

    def forward(self, x):
        return super().forward(self.norm(x))


class Hungry(Lit):
    most = 20

    def training_step(self, batch, batch_idx):
        if len(batch["f"]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().training_step(batch, batch_idx)


class Starving(Hungry):
    most = 0
"""


@pytest.fixture(autouse=True)
def models(lake):  # noqa: F811
    (lake / "net.py").write_text(MODEL + MORE)


@pytest.mark.parametrize("options", [{}, {"sync": "local", "inner_steps": 1, "outer_lr": 1.0}])
def test_running_statistics_are_the_mean_over_rows(lake, table, options):  # noqa: F811
    """A step on each shard as one batch: BatchNorm goes a tenth of the way to the mean of each."""
    go(lake, model="Normed", label="y", inputs=None, rounds=1, batch_size=1000, **options)
    found = weights(lake, 1)
    features = np.array(table["f"].to_pylist(), np.float32).astype(np.float64)
    torch.testing.assert_close(found["norm.running_mean"], torch.tensor(0.1 * features.mean(0)))
    assert found["norm.num_batches_tracked"] == 1
    assert not torch.equal(found["norm.running_var"], torch.ones(4, dtype=torch.float64))


def test_buffers_that_stay_keep_their_bits(lake):  # noqa: F811
    go(lake, model="Normed", label="y", inputs=None, rounds=1)
    go(lake, model="Normed", label="y", inputs=None, rounds=2, resume=True)
    assert torch.equal(weights(lake, 1)["fixed"], weights(lake, 2)["fixed"])


def test_batches_become_as_small_as_memory_wants(lake, capfd):  # noqa: F811
    go(lake, model="Hungry", label="y", inputs=None, rounds=2, batch_size=64, output="less")
    assert "out of memory: batches of 16 rows now" in capfd.readouterr().err
    go(lake, model="Hungry", label="y", inputs=None, rounds=2, batch_size=16)
    found, expected = weights(lake, 2, "less"), weights(lake, 2)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("model", "options", "text"),
    [
        ("Starving", {}, "out of memory on a batch of a single row"),
        ("Hungry", {"sync": "local"}, "out of memory in a step on .* rows: .*smaller --batch-size"),
        ("Hungry", {"sync": "allreduce"}, "smaller --batch-size"),
    ],
)
def test_too_little_memory_is_named(lake, model, options, text):  # noqa: F811
    with pytest.raises(JobError, match=text):
        go(lake, model=model, label="y", inputs=None, **options)


@pytest.mark.parametrize("options", [{}, {"sync": "local"}, {"sync": "allreduce", "workers": 1}])
def test_a_kill_between_line_and_checkpoint(lake, monkeypatch, options):  # noqa: F811
    """The round is done again, and metrics.jsonl has each once."""
    options = {"model": "Lit", "label": "y", "inputs": None, "inner_steps": 5, **options}
    save = Checkpoints.save

    def killed(self, checkpoint):
        if checkpoint.round == 2:
            raise SystemExit("killed")
        save(self, checkpoint)

    monkeypatch.setattr(Checkpoints, "save", killed)
    with pytest.raises(SystemExit):
        go(lake, **options)
    monkeypatch.setattr(Checkpoints, "save", save)
    go(lake, resume=True, **options)
    lines = (lake / "ck" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [1, 2, 3]


@pytest.fixture
def trained(lake):  # noqa: F811
    """What two rounds have left."""
    go(lake, model="Lit", label="y", inputs=None, rounds=2)
    return weights(lake, 2)


@pytest.mark.parametrize("resumed", [False, True])
def test_overwrite_keeps_the_old_until_a_round_is_complete(lake, trained, monkeypatch, resumed):  # noqa: F811
    def killed(self, checkpoint):
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        patch.setattr(Checkpoints, "bring_back", lambda self: False)
        with pytest.raises(SystemExit):
            go(lake, model="Lit", label="y", inputs=None, rounds=1, overwrite=True)
    assert "round-000002" not in names(lake / "ck")
    if resumed:
        go(lake, model="Lit", label="y", inputs=None, rounds=2, resume=True)
        assert torch.equal(weights(lake, 2)["last.bias"], trained["last.bias"])
    else:
        with pytest.raises(OutputExistsError):
            go(lake, model="Lit", label="y", inputs=None)
        go(lake, model="Lit", label="y", inputs=None, rounds=1, overwrite=True, seed=5)
        assert "round-000002" not in names(lake / "ck")
    assert names(lake) == ["ck", "in", "net.py"]


def test_overwrite_that_fails_brings_the_old_back(lake, trained):  # noqa: F811
    """With the bad rows of the run that failed, of which its error speaks."""
    (lake / "more.jsonl").write_text('{"f": [0.1, 0.2, 0.3, 0.4], "y": 1}\n{"f": null, "y": 1}\n')
    listener = Listener()
    options = {"uris": [lake / "more.jsonl"], "overwrite": True}
    with pytest.raises(TooManyBadRowsError, match=f"see {lake}/ck/_bad"):
        go(lake, listener, model="Lit", label="y", inputs=None, **options)
    assert listener.said[-1] == f"no round was complete: {lake}/ck is as it was"
    assert torch.equal(weights(lake, 2)["last.bias"], trained["last.bias"])
    assert names(lake / "ck" / "_bad")
    assert names(lake) == ["ck", "in", "more.jsonl", "net.py"]


def test_memory_that_runs_out_while_local_steps_read(lake, monkeypatch):  # noqa: F811
    """Nothing is tried again with smaller batches: those would be other steps."""
    read = LocalTask._read

    def hungry(self, *args):
        for number, batch in enumerate(read(self, *args)):
            if number == 3:
                raise MemoryError
            yield batch

    monkeypatch.setattr(LocalTask, "_read", hungry)
    with pytest.raises(JobError, match="out of memory in a step on 32 rows"):
        go(lake, model="Lit", label="y", inputs=None, sync="local")
