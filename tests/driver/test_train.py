"""Training as MapReduce jobs: exact, resumable, and clear about what is wrong."""

import json
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

import mrmodel
from mrmodel.driver.train import TrainJob, train
from mrmodel.errors import (
    InputError,
    JobError,
    ModelError,
    OutputExistsError,
    TooManyBadRowsError,
    UsageError,
)
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec
from tests.driver.helpers import Listener, names

ROWS = 230
MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.last = torch.nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Lit(Net):
    inputs = ["f"]

    def training_step(self, batch, batch_idx):
        return {"loss": torch.nn.functional.cross_entropy(self(batch["f"]), batch["y"])}

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]
"""


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(2)
    features = random.normal(size=(ROWS, 4)).astype(np.float32)
    classes = (features[:, 0] + features[:, 1] > 0).astype(np.int64) + (features[:, 2] > 1)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), 4)
    return pa.table({"f": vectors, "y": classes, "z": features[:, 3] * 2, "text": ["x"] * ROWS})


@pytest.fixture
def lake(tmp_path, table):
    """Uneven files, one of them empty."""
    (tmp_path / "in").mkdir()
    for number, (first, last) in enumerate([(0, 3), (3, 3), (3, 150), (150, ROWS)]):
        pq.write_table(table.slice(first, last - first), tmp_path / "in" / f"{number}.parquet")
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


SPECS = {kind: kind.__dataclass_fields__ for kind in (ModelSpec, OutputSpec, ExecutionSpec)}


def go(lake, watcher=None, model="Net", uris=None, inputs=("f",), output="ck", **options):
    parts = {
        ModelSpec: {"ref": f"{lake}/net.py:{model}", "dtype": "float64"},
        OutputSpec: {"uri": str(lake / output)},
        ExecutionSpec: {"shard_size": "1"},
    }
    for name in [n for n in options if any(n in fields for fields in SPECS.values())]:
        if name not in TrainSpec.__dataclass_fields__:
            kind = next(kind for kind, fields in SPECS.items() if name in fields)
            parts[kind][name] = options.pop(name)
    if model == "Net":
        options = {"label": "y", "loss": "cross_entropy", "lr": 0.3, **options}
    job = TrainJob(
        ModelSpec(**parts[ModelSpec]),
        DataSpec(tuple(map(str, uris or [lake / "in"])), inputs=inputs),
        OutputSpec(**parts[OutputSpec]),
        ExecutionSpec(**parts[ExecutionSpec]),
        TrainSpec(**{"rounds": 3, "batch_size": 32, **options}),
    )
    return train(job, watcher)


def weights(lake, number, output="ck"):
    path = lake / output / f"round-{number:06d}" / "weights.safetensors"
    # not load_file, which maps what tests change
    return safetensors.torch.load(path.read_bytes())


def alone(lake, table, rounds, optimizer, dtype=torch.float64, seed=0, **options):
    """The same in one process with all rows at once."""
    namespace = {}
    exec(MODEL, namespace)
    torch.manual_seed(seed)
    net = namespace["Net"]().to(dtype)
    x = torch.tensor(table["f"].to_pylist(), dtype=torch.float32).to(dtype)
    y = torch.tensor(table["y"].to_pylist())
    steps = getattr(torch.optim, optimizer)(net.parameters(), **options)

    def closure():
        steps.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        return loss

    for _ in range(rounds):
        steps.step(closure)
    return net.state_dict()


def assert_same(found, expected, rtol):
    assert sorted(found) == sorted(expected)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=rtol, atol=rtol)


CASES = {
    "sgd": ("SGD", {"lr": 0.3, "momentum": 0.9}, {"optimizer_args": {"momentum": 0.9}}),
    "adamw": ("AdamW", {"lr": 0.05}, {"lr": 0.05}),
    "lbfgs": ("LBFGS", {"lr": 1.0, "line_search_fn": "strong_wolfe", "max_iter": 4},
              {"lr": 1.0, "optimizer_args": {"max_iter": 4}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equal_to_one_process(lake, table, name):
    optimizer, theirs, ours = CASES[name]
    run = go(lake, optimizer=name, **ours)
    assert (run.rounds, len(run.history)) == (3, 3)
    assert_same(weights(lake, 3), alone(lake, table, 3, optimizer, **theirs), 1e-6)


@pytest.mark.parametrize("uris", [["in"], ["in/0.parquet", "in/1.parquet"], ["in/2.parquet"]])
def test_equal_for_uneven_empty_and_single_shards(lake, table, uris):
    go(lake, uris=[lake / uri for uri in uris], optimizer="sgd")
    rows = pa.concat_tables([pq.read_table(lake / uri) for uri in uris])
    assert_same(weights(lake, 3), alone(lake, rows, 3, "SGD", lr=0.3), 1e-6)


def test_equal_in_single_precision_on_processes(lake, table):
    go(lake, runner="local", workers=2, dtype="float32", optimizer="sgd")
    assert_same(weights(lake, 3), alone(lake, table, 3, "SGD", torch.float32, lr=0.3), 1e-4)


def test_inline_and_local_write_the_same_bytes(lake):
    go(lake, output="a")
    go(lake, output="b", runner="local", workers=2)
    for number in (1, 3):
        one, two = weights(lake, number, "a"), weights(lake, number, "b")
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam"},
        {"optimizer": "lbfgs"},
        {"model": "Lit", "label": "y"},
        {"lr_schedule": "cosine"},
    ],
    ids=str,
)
def test_resumed_training_comes_to_the_same_bits(lake, options):
    go(lake, rounds=4, **options)
    whole = weights(lake, 4)
    before = (lake / "ck" / "metrics.jsonl").read_text()
    for number in (3, 4):  # as if it had been killed in round 3
        shutil.rmtree(lake / "ck" / f"round-{number:06d}")
    listener = Listener()
    go(lake, listener, rounds=4, resume=True, **options)
    assert listener.said[0] == "resuming after round 2"
    found = weights(lake, 4)
    assert all(torch.equal(whole[name], found[name]) for name in whole)
    lines = [(lake / "ck" / "metrics.jsonl").read_text(), before]
    one, two = ([json.loads(line) for line in text.splitlines()] for text in lines)
    assert [(line["round"], line["loss"]) for line in one] == [
        (line["round"], line["loss"]) for line in two
    ]


def test_more_rounds_than_before(lake):
    go(lake, output="whole", rounds=4)
    go(lake, rounds=2)
    go(lake, rounds=4, resume=True)
    whole, found = weights(lake, 4, "whole"), weights(lake, 4)
    assert all(torch.equal(whole[name], found[name]) for name in whole)
    with pytest.raises(UsageError, match="--rounds differ from"):  # the schedule depends on them
        go(lake, rounds=2, lr_schedule="linear", output="linear")
        go(lake, rounds=4, lr_schedule="linear", output="linear", resume=True)


def test_a_class_with_lightning_s_names(lake, table):
    run = go(lake, model="Lit", inputs=None, rounds=4, label="y")
    assert [round(line["lr"], 6) for line in run.history] == [0.5, 0.5, 0.05, 0.05]
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_a_real_lightning_module(lake, table):
    code = MODEL.replace("import torch\n", "import torch, lightning\n", 1).replace(
        "class Net(torch.nn.Module)", "class Net(lightning.LightningModule)"
    )
    (lake / "net.py").write_text(code)
    go(lake, model="Lit", inputs=None, label="y", output="lightning")
    (lake / "net.py").write_text(MODEL)
    go(lake, model="Lit", inputs=None, label="y", output="plain")
    one, two = weights(lake, 3, "lightning"), weights(lake, 3, "plain")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_is_what_predict_takes(lake):
    go(lake, dtype="float32")
    for path in ("round-000003", "round-000003/weights.safetensors"):
        run = mrmodel.predict(
            f"{lake}/net.py:Net", lake / "in", lake / "out", inputs=["f"], overwrite=True,
            weights=lake / "ck" / path,
        )  # fmt: skip
        assert run.rows["ok"] == ROWS
    again = go(lake, output="more", dtype="float32", weights=str(lake / "ck" / "round-000003"))
    assert again.history[0]["loss"] < 1.0


def test_checkpoints_and_metrics(lake):
    run = go(lake, keep_last=2, rounds=4, validation=(str(lake / "in"),))
    assert names(lake / "ck") == [
        "_mrmodel", "latest", "metrics.jsonl", "round-000003", "round-000004", "tensorboard",
    ]  # fmt: skip
    assert (lake / "ck" / "latest").read_text() == "round-000004\n"
    assert names(lake) == ["ck", "in", "net.py"]
    lines = [json.loads(line) for line in (lake / "ck" / "metrics.jsonl").read_text().splitlines()]
    assert lines == run.history
    # the loss after a round is that with which the next begins
    assert lines[0]["validation_loss"] == pytest.approx(lines[1]["loss"], rel=1e-9)
    assert lines[0]["rows"] == ROWS


@pytest.mark.parametrize("sync", ["gradient", "local"])
def test_the_phases_of_a_round(lake, sync):
    options = {"sync": sync, "inner_steps": 5, "validation": (str(lake / "in"),)}
    run = go(lake, rounds=2, runner="local", workers=2, **options)
    for line in run.history:
        phases, tasks = line["phases"], line["task_seconds"]
        checked = [phases.pop("validation"), phases.pop("checkpoint")]
        assert list(phases) == ["start", "map", "shuffle", "reduce", "collect", "step"]
        assert sum(phases.values()) == pytest.approx(line["seconds"], abs=0.01)
        assert set(tasks) == {"load", "read", "compute", "send", "receive", "add", "write"}
        assert min([*phases.values(), *tasks.values(), *checked]) > 0


def test_tensorboard_reads_what_metrics_say(lake):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    validation = (str(lake / "in"),)
    go(lake, rounds=3, validation=validation)
    shutil.rmtree(lake / "ck" / "round-000003")  # as if it had been killed in round 3
    time.sleep(1.1)  # the files of both are told apart by the second
    go(lake, rounds=4, validation=validation, resume=True)
    events = EventAccumulator(str(lake / "ck" / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (lake / "ck" / "metrics.jsonl").read_text().splitlines()]
    for tag, name in {
        "loss/train": "loss",
        "loss/validation": "validation_loss",
        "lr": "lr",
    }.items():
        found = {scalar.step: scalar.value for scalar in events.Scalars(tag)}
        assert found == pytest.approx({line["round"]: line[name] for line in lines}, rel=1e-6)


def test_early_stopping(lake):
    run = go(lake, lr=0.0, rounds=9, validation=(str(lake / "in"),), early_stop=2)
    assert (run.rounds, run.best_round) == (3, 1)
    assert run.stopped == "no better validation loss in 2 rounds"


def test_clipping(lake, table):
    run = go(lake, clip=0.01, rounds=1, optimizer="sgd", lr=1.0)
    before = alone(lake, table, 0, "SGD", lr=1.0)
    after = weights(lake, 1)
    moved = torch.cat([(after[n] - before[n]).flatten() for n in before]).norm()
    assert moved.item() == pytest.approx(0.01, rel=1e-3)
    assert run.history[0]["gradient_norm"] > 0.01


def test_a_damaged_checkpoint_gives_way_to_the_one_before(lake):
    go(lake, output="whole", rounds=4)
    go(lake)
    path = lake / "ck" / "round-000003" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    (lake / "ck" / "round-000002" / ".junk").touch()
    listener = Listener()
    go(lake, listener, resume=True, rounds=4)
    assert listener.said[0].startswith("checkpoint of round 3 is damaged (weights.safetensors")
    assert listener.said[1] == "resuming after round 2"
    one, two = weights(lake, 4, "whole"), weights(lake, 4)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_checkpoints_are_not_touched_without_a_word(lake):
    go(lake)
    with pytest.raises(OutputExistsError, match="--resume to go on"):
        go(lake)
    go(lake, overwrite=True, rounds=1)
    assert "round-000003" not in names(lake / "ck")


def test_a_first_round_that_failed_is_nothing_to_ask_about(lake):
    with pytest.raises(ModelError):
        go(lake, args={"outputs": 2})
    assert go(lake).rounds == 3


def test_other_people_s_files_are_left_alone(lake):
    (lake / "ck").mkdir()
    (lake / "ck" / "thesis.tex").touch()
    for options in ({}, {"overwrite": True}):
        with pytest.raises(UsageError, match="the folder holds thesis.tex, which is not a check"):
            go(lake, **options)
    assert names(lake / "ck") == ["thesis.tex"]
    (lake / "file").touch()
    with pytest.raises(UsageError, match="is a file: expected a folder"):
        go(lake, output="file", overwrite=True)


def test_resume_with_other_options_says_which(lake):
    go(lake)
    with pytest.raises(UsageError, match="--resume: --batch-size, --lr differ from what"):
        go(lake, resume=True, lr=0.1, batch_size=16)


def test_resume_with_another_model_lists_the_keys(lake):
    path = go(lake).output + "/round-000003"
    with pytest.raises(ModelError, match=r"last.weight is \(3, 8\) in the file and \(5, 8\)"):
        go(lake, output="other", args={"outputs": 5}, weights=path)


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (r"the \d+ rows after row \d+ of /", {}),
        ("step 1 of the round on /", {"sync": "local", "inner_steps": 2}),
    ],
)
def test_a_loss_that_is_not_finite_names_the_place(lake, place, options):
    words = {"inputs": ("z",), "label": "z", "loss": "mse", "optimizer": "sgd", **options}
    with pytest.raises(JobError, match=rf"the loss is (nan|inf) in round \d, in {place}"):
        go(lake, model="Exploding", **words)


@pytest.fixture(autouse=True)
def exploding(lake):
    code = MODEL + (
        "\nclass Exploding(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(1))\n"
        "    def forward(self, x):\n"
        "        return x * self.w / 0\n"
    )
    (lake / "net.py").write_text(code)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"loss": None}, ModelError, "has no training_step.*--loss"),
        ({"loss": "hinge"}, UsageError, "--loss hinge: expected one of cross_entropy"),
        ({"label": "nix"}, InputError, "'nix'"),
        (
            {"label": "z"},
            ModelError,
            "label column 'z' is float32: .* takes class numbers",
        ),
        ({"label": "text"}, ModelError, "label column 'text' holds str: expected class numbers"),
        ({"args": {"outputs": 2}}, ModelError, "holds class 2, but the model has 2 outputs"),
        ({"loss": "mse"}, ModelError, r"outputs have shape \(\d+, 3\) but the label column 'y'"),
        ({"optimizer": "nix"}, UsageError, "--optimizer nix: expected one of .*adam"),
        ({"optimizer_args": {"nix": 1}}, UsageError, "--optimizer sgd: .*nix"),
        ({"sync": "hope"}, UsageError, "--sync hope: expected one of"),
        ({"early_stop": 2}, UsageError, "--early-stop needs --validation"),
        ({"dtype": "bfloat16"}, UsageError, "bfloat16"),
        ({"device": "cuda"}, ModelError, "--device cuda: torch .* sees 0 CUDA devices here"),
        ({"inputs": ("nix",)}, InputError, "'nix'"),
    ],
)
def test_what_is_wrong_is_named(lake, options, error, text):
    with pytest.raises(error, match=text):
        go(lake, **options)
    assert "round-000001" not in names(lake / "ck")
    assert ".ck.mrmodel" not in names(lake)


def test_bad_rows_stop_training_unless_allowed(lake, table):
    bad = table.slice(0, 2).set_column(1, "y", pa.array([None, 1], pa.int64()))
    pq.write_table(bad, lake / "in" / "9.parquet")
    with pytest.raises(TooManyBadRowsError, match="1 of 232 rows cannot be read or"):
        go(lake)
    run = go(lake, max_bad="1", overwrite=True)
    assert (run.history[0]["rows"], run.history[0]["bad"]) == (231, 1)


def test_images(lake, table):
    """Of unequal sizes, brought to one; a Hive-style partition is the label."""
    from PIL import Image

    for n in range(12):
        folder = lake / "images" / f"y={n % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5 + n, 9), (20 * n, 255 - 20 * n, 99)).save(folder / f"{n}.png")
    (lake / "net.py").write_text(
        "import torch\ndef net():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 3))\n"
    )
    run = mrmodel.train(
        f"{lake}/net.py:net", lake / "images", lake / "ck", inputs=["image"], label="y",
        loss="cross_entropy", lr=0.1, rounds=3, image_size=(8, 8),
    )  # fmt: skip
    assert run.history[0]["rows"] == 12
    assert run.history[2]["loss"] < run.history[0]["loss"]


def test_no_rows(lake):
    with pytest.raises(JobError, match="there are no rows to train on"):
        go(lake, uris=[lake / "in" / "1.parquet"])
