"""mrmodel's answers next to those of one process with all rows: gradients, metrics, jobs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import sklearn.datasets
import torch
import torchmetrics
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import mrmodel
from mrmodel import storage

from . import training
from .errors import BenchError
from .small import Mlp

HERE = Path(__file__).parent
JOBS = HERE.parents[1] / "jobs"
MODEL = f"{HERE / 'small.py'}:Mlp"
# where files begin: one is empty, one has a single row
CUTS = (0.0, 0.0006, 0.3, 0.3, 0.45, 1.0)
# a line search decides by comparing losses: what rounding does to one decision, later ones multiply
ROUNDS = {"sgd": 20, "adamw": 20, "lbfgs": 5}
OPTIMIZERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sgd": ({"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "optimizer_args": {"momentum": 0.9}}),
    "adamw": ({"lr": 0.01}, {"lr": 0.01}),
    "lbfgs": (
        {"lr": 1.0, "line_search_fn": "strong_wolfe", "max_iter": 4},
        {"lr": 1.0, "optimizer_args": {"max_iter": 4}},
    ),
}
CLASSES = "task=multiclass,num_classes=10"
METRICS: dict[str, Callable[[], torchmetrics.Metric]] = {
    f"accuracy:{CLASSES}": partial(torchmetrics.Accuracy, "multiclass", num_classes=10),
    f"f1_score:{CLASSES},average=macro": partial(
        torchmetrics.F1Score, "multiclass", num_classes=10, average="macro"
    ),
    f"auroc:{CLASSES}": partial(torchmetrics.AUROC, "multiclass", num_classes=10),
    f"average_precision:{CLASSES}": partial(
        torchmetrics.AveragePrecision, "multiclass", num_classes=10
    ),
    f"calibration_error:{CLASSES}": partial(
        torchmetrics.CalibrationError, "multiclass", num_classes=10
    ),
    f"matthews_corr_coef:{CLASSES}": partial(
        torchmetrics.MatthewsCorrCoef, "multiclass", num_classes=10
    ),
}
REGRESSION: dict[str, Callable[[], torchmetrics.Metric]] = {
    "mean_squared_error": torchmetrics.MeanSquaredError,
    "r2_score": torchmetrics.R2Score,
    "pearson_corr_coef": torchmetrics.PearsonCorrCoef,
    "spearman_corr_coef": torchmetrics.SpearmanCorrCoef,
}


@dataclass(frozen=True)
class Problem:
    """Rows of scikit-learn's: `x` (rows, columns) standardised, `y` classes or numbers."""

    name: str
    x: np.ndarray
    y: np.ndarray
    outputs: int
    loss: str

    @property
    def args(self) -> dict[str, int]:
        return {"width": self.x.shape[1], "outputs": self.outputs}


@dataclass(frozen=True)
class Found:
    """One comparison: `what` against `whom`; the largest relative difference, and how much would
    be fine (0: not a bit). `reverse`: how far they are from themselves with rows in reverse."""

    what: str
    whom: str
    difference: float
    fine: float
    reverse: float | None = None

    @property
    def holds(self) -> bool:
        return self.difference <= self.fine


def problems() -> dict[str, Problem]:
    """scikit-learn's digits (1,797 rows of 64) and diabetes (442 of 10)."""
    digits, diabetes = sklearn.datasets.load_digits(), sklearn.datasets.load_diabetes()
    scale = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
    return {
        "digits": Problem("digits", digits.data / 16, digits.target, 10, "cross_entropy"),
        "diabetes": Problem("diabetes", diabetes.data * 20, scale, 1, "mse"),
    }


def put_rows(problem: Problem, folder: str, dtype: torch.dtype) -> str:
    """Write the rows as uneven files to `folder`, a path or URI; where they are."""
    number = np.float64 if dtype is torch.float64 else np.float32
    x, y = problem.x.astype(number), problem.y
    y = y.astype(np.int64) if problem.outputs > 1 else y.astype(number)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    table, place = pa.table({"x": cells, "y": y}), storage.join(folder, problem.name)
    ends = [round(cut * len(table)) for cut in CUTS]
    for index, (begin, end) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(begin, end - begin), sink)
        file = storage.join(place, f"{index}.parquet")
        storage.write_bytes(file, sink.getvalue().to_pybytes())
    return place


def gradients(folder: str, runner: str) -> Iterator[Found]:
    """`--sync gradient` against the same optimiser over all rows at once."""
    for problem in problems().values():
        for dtype, fine in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
            kind = str(dtype).removeprefix("torch.")
            rows = put_rows(problem, storage.join(folder, kind), dtype)
            for name, rounds in ROUNDS.items():
                output = storage.join(folder, f"{problem.name}-{kind}-{name}")
                mrmodel.train(
                    MODEL, rows, output, runner=runner, dtype=kind, model_args=problem.args,
                    inputs=["x"], label="y", loss=problem.loss, optimizer=name, rounds=rounds,
                    shard_size="1", threads=1, **OPTIMIZERS[name][1],
                )  # fmt: skip
                expected = alone(problem, name, dtype)
                found = relative(last_weights(output, rounds), expected)
                reverse = relative(alone(reversed_(problem), name, dtype), expected)
                what = f"{problem.name}, {name}, {rounds} rounds, {kind}"
                yield Found(what, "torch, one process, full batch", found, fine, reverse)


def reversed_(problem: Problem) -> Problem:
    """The same rows, the last one first."""
    return replace(problem, x=problem.x[::-1].copy(), y=problem.y[::-1].copy())


def alone(problem: Problem, name: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights after as many steps over all rows, as everybody writes it."""
    torch.manual_seed(0)
    net = Mlp(**problem.args).to(dtype)
    optimizer = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "lbfgs": torch.optim.LBFGS}
    steps = optimizer[name](net.parameters(), **OPTIMIZERS[name][0])
    x = torch.tensor(problem.x, dtype=dtype)
    y = torch.tensor(problem.y, dtype=torch.int64 if problem.outputs > 1 else dtype)
    losses = {"cross_entropy": torch.nn.CrossEntropyLoss(), "mse": torch.nn.MSELoss()}

    def closure() -> torch.Tensor:
        steps.zero_grad()
        loss = losses[problem.loss](net(x), y)
        loss.backward()
        return loss

    for _ in range(ROUNDS[name]):
        steps.step(closure)
    return net.state_dict()


def last_weights(output: str, number: int) -> dict[str, torch.Tensor]:
    """Those of round `number` in the folder `output`."""
    path = storage.join(output, f"round-{number:06d}", "weights.safetensors")
    return safetensors.torch.load(storage.read_bytes(path))


def relative(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """The largest difference of a tensor's numbers, as a share of the tensor's largest."""
    if found.keys() != expected.keys():
        raise BenchError(f"expected the weights {sorted(expected)} but received {sorted(found)}")
    return max(
        float((found[n].double() - expected[n].double()).abs().max() / expected[n].abs().max())
        for n in expected
    )


def gangs(folder: Path, workers: int) -> Iterator[Found]:
    """`--sync allreduce` against a script by hand under torchrun: the same bits."""
    data = training.write_rows(4096, workers, folder / "gang")
    setting = training.Setting(data, workers, 64, 128, 3, 0, folder)
    weights = [training.train(name, setting).weights for name in (training.BY_HAND, "local")]
    theirs, ours = (safetensors.torch.load(storage.read_bytes(uri)) for uri in weights)
    what = f"classifier, AdamW, 3 epochs, {workers} workers, float32"
    yield Found(what, "torchrun, DistributedDataParallel", relative(ours, theirs), 0.0)


def metrics(folder: str, runner: str) -> Iterator[Found]:
    """`evaluate` against torchmetrics on all rows at once, for a network as it is initialised."""
    every = problems()
    for problem, named in ((every["digits"], METRICS), (every["diabetes"], REGRESSION)):
        torch.manual_seed(0)
        net = Mlp(**problem.args)
        weights = storage.join(folder, f"{problem.name}.safetensors")
        storage.write_bytes(weights, safetensors.torch.save(net.state_dict()))
        rows = put_rows(problem, storage.join(folder, "metrics"), torch.float32)
        run = mrmodel.evaluate(
            MODEL, rows, label="y", metrics=list(named), runner=runner, weights=weights,
            model_args=problem.args, inputs=["x"], shard_size="1", threads=1,
        )  # fmt: skip
        with torch.inference_mode():
            outputs = net(torch.tensor(problem.x, dtype=torch.float32))
        kind = torch.int64 if problem.outputs > 1 else torch.float32
        label = torch.tensor(problem.y, dtype=kind)
        for name, metric in zip(run.metrics, named.values(), strict=True):
            expected = float(metric()(outputs, label))
            found = abs(run.metrics[name] - expected) / abs(expected)
            yield Found(f"{problem.name}, {name}", "torchmetrics, one process", found, 1e-5)


def jobs(folder: Path) -> Iterator[Found]:
    """jobs/mr_kmeans.py and jobs/mr_logistic.py against scikit-learn."""
    rows = sklearn.datasets.load_digits().data
    centres = _run("mr_kmeans.py", "--centres", rows[:10], rows, folder, "--tolerance", "0")
    settings = {"n_init": 1, "algorithm": "lloyd", "tol": 0, "max_iter": 300}
    expected = KMeans(10, init=rows[:10], **settings).fit(rows).cluster_centers_
    found = np.abs(centres - expected).max() / np.abs(expected).max()
    yield Found("mr_kmeans.py, digits, 10 centres", "sklearn KMeans (lloyd)", found, 1e-10)
    inputs, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
    inputs = StandardScaler().fit_transform(inputs)
    table = np.column_stack([inputs, target])
    weights = _run("mr_logistic.py", "--weights", np.zeros(31), table, folder)
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(inputs, target)
    expected = np.append(model.coef_, model.intercept_)
    found = np.abs(weights - expected).max() / np.abs(expected).max()
    yield Found("mr_logistic.py, breast cancer", "sklearn LogisticRegression", found, 1e-8)


def _run(
    job: str, option: str, state: np.ndarray, rows: np.ndarray, folder: Path, *more: str
) -> np.ndarray:
    """What `job` leaves in the file of `option`, which begins as `state`."""
    place, kept = folder / job, folder / f"{job}.csv"
    place.mkdir(parents=True, exist_ok=True)
    np.savetxt(kept, state, delimiter=",")
    for index, part in enumerate(np.array_split(rows, 3)):
        np.savetxt(place / f"{index}.csv", part, delimiter=",")
    command = [sys.executable, str(JOBS / job), option, str(kept), *more, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise BenchError(f"{job} ended with {done.returncode}: {done.stderr[-500:]}")
    return np.loadtxt(kept, delimiter=",", ndmin=state.ndim)
