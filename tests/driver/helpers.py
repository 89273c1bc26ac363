"""Jobs over tiny data, run for real, for the tests of the driver, the runners and the commands."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel.driver.predict import Job, Watcher, predict
from mrmodel.driver.run import Run
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec

DOUBLER = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def predict(self, batch):
            return {"twice": batch["x"] * 2}
"""

# tells the file "seen" which rows the model was given, so that tests see what ran again
COUNTING = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            self.seen = pathlib.Path(__file__).parent / "seen"

        def predict(self, batch):
            with self.seen.open("a") as file:
                file.writelines(f"{x}\\n" for x in batch["x"].tolist())
            if (batch["x"] < 0).any():
                raise ValueError("x is negative")
            return {"twice": batch["x"] * 2}
"""


def model(folder: Path, code: str = DOUBLER, name: str = "model.py") -> str:
    """The reference to the class Model in a new file with `code`."""
    path = folder / name
    head = "import os, pathlib, signal, sys, time\nimport numpy as np\nimport torch\nimport mrmodel"
    path.write_text(head + "\n" + textwrap.dedent(code))
    return f"{path}:Model"


def parquet(path: Path, rows: range | list, **columns: Any) -> Path:
    """A Parquet file with the columns id and x (a float), both `rows`, and `columns`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = list(rows)
    x = pa.array([None if n is None else float(n) for n in numbers], pa.float64())
    pq.write_table(pa.table({"id": pa.array(numbers, pa.int64()), "x": x, **columns}), path)
    return path


def jsonl(path: Path, rows: list[Any]) -> Path:
    """A JSON Lines file; a str among `rows` is a line as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def job(model_ref: str, uris: Any, output: Path, **options: Any) -> Job:
    """A job; `options` are fields of the four specs by their names (``output_format`` is that of
    the output)."""
    uris = uris if isinstance(uris, list) else [uris]
    specs: list[dict[str, Any]] = [
        {"ref": model_ref},
        {"uris": tuple(str(uri) for uri in uris)},
        {"uri": str(output)},
        {},
    ]
    kinds = [ModelSpec, DataSpec, OutputSpec, ExecutionSpec]
    if "output_format" in options:
        specs[2]["format"] = options.pop("output_format")
    for name, value in options.items():
        index = next(i for i, kind in enumerate(kinds) if name in kind.__dataclass_fields__)
        specs[index][name] = value
    return Job(*(kind(**fields) for kind, fields in zip(kinds, specs, strict=True)))


def run(
    model_ref: str, uris: Any, output: Path, watcher: Watcher | None = None, **options: Any
) -> Run:
    """Predict, on the inline runner unless `options` say otherwise."""
    return predict(job(model_ref, uris, output, **options), watcher)


class Listener(Watcher):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def rows(output: Path) -> list[dict[str, Any]]:
    """All rows of the parts of `output`, part by part."""
    found: list[dict[str, Any]] = []
    for part in sorted(output.glob("part-*")):
        if part.suffix == ".parquet":
            found += pq.read_table(part).to_pylist()
        else:
            found += [json.loads(line) for line in part.read_text().splitlines()]
    return found


def ids(output: Path) -> list[int]:
    """The ids of the predicted rows, part by part."""
    return [row["id"] for row in rows(output)]


def bad(output: Path) -> list[dict[str, Any]]:
    """All dead letters."""
    parts = sorted(output.glob("_bad/part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def seen(folder: Path) -> list[float]:
    """The rows that a COUNTING model in `folder` was given since the last call."""
    path = folder / "seen"
    if not path.exists():
        return []
    found = [float(line) for line in path.read_text().split()]
    path.unlink()
    return found


def names(folder: Path) -> list[str]:
    """The names in `folder`, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def staging(output: Path) -> Path:
    """The staging folder of `output`."""
    return output.parent / f".{output.name}.mrmodel"


class Interrupted(BaseException):
    """Stands for SIGKILL: nothing of mrmodel's may catch it, and no clean-up runs for it."""
