"""The models that are measured, and rows for them."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import BenchError
from .mlp import FEATURES
from .pictures import jpeg

ROOT = Path(__file__).parents[2]
EMBED = ROOT / "examples" / "embed"
DIGITS = ROOT / "examples" / "digits"
CHUNK_ROWS = 1 << 16


@dataclass(frozen=True)
class Workload:
    """A model and its rows. `reference`, `inputs` and `weights` are what `mrmodel predict` is
    told; `table(first, rows)` makes rows, `id` among their columns; `rows` and `batch_size` are
    used when the command line says nothing."""

    name: str
    reference: str
    inputs: tuple[str, ...] | None
    rows: int
    batch_size: int
    table: Callable[[int, int], pa.Table]
    weights: Callable[[Path], Path]


@dataclass(frozen=True)
class DataSet:
    """`rows` rows in `files` of (almost) equal length, one per process that reads them."""

    files: tuple[Path, ...]
    rows: int
    nbytes: int


def write_data(workload: Workload, rows: int, files: int, folder: Path) -> DataSet:
    """`rows` rows of `workload` as `files` Parquet files, each written as pyarrow does it."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds = [rows * i // files for i in range(files + 1)]
    paths = []
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        path = folder / f"rows-{number}.parquet"
        chunks = [
            workload.table(begin, min(CHUNK_ROWS, last - begin))
            for begin in range(first, last, CHUNK_ROWS)
        ]
        pq.write_table(pa.concat_tables(chunks), path)
        paths.append(path)
    return DataSet(tuple(paths), rows, sum(path.stat().st_size for path in paths))


def load_module(path: Path):
    """The Python file `path` as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sentences() -> list[str]:
    """Every real sentence that this machine's Python holds, in the example's order."""
    if not _kept_sentences:
        maker = load_module(EMBED / "make_sentences.py")
        _kept_sentences.extend(row["text"] for row in maker.take(len(maker.distinct_sentences())))
    return _kept_sentences


_kept_sentences: list[str] = []


def _sentence_table(first: int, rows: int) -> pa.Table:
    """Sentences, from the beginning again when there are no more of them."""
    texts = _sentences()
    ids = range(first, first + rows)
    return pa.table({"id": list(ids), "text": [texts[i % len(texts)] for i in ids]})


def _digit_table(first: int, rows: int) -> pa.Table:
    """The 1,797 digits, over and over."""
    digits = pq.read_table(DIGITS / "data", columns=["pixels"])
    ids = np.arange(first, first + rows)
    pixels = digits.column("pixels").combine_chunks().take(pa.array(ids % len(digits)))
    return pa.table({"id": ids, "pixels": pixels})


def _number_table(first: int, rows: int) -> pa.Table:
    random = np.random.default_rng(first)
    columns = {f"f{i}": random.standard_normal(rows, dtype=np.float32) for i in range(FEATURES)}
    return pa.table({"id": np.arange(first, first + rows), **columns})


def _image_table(first: int, rows: int) -> pa.Table:
    ids = range(first, first + rows)
    return pa.table({"id": list(ids), "jpeg": [jpeg(i) for i in ids]})


def _embed_weights(folder: Path) -> Path:
    finder = load_module(EMBED / "find_weights.py")
    try:
        return finder.find_weights()
    except SystemExit as error:
        raise BenchError(str(error)) from None


def _digit_weights(folder: Path) -> Path:
    return DIGITS / "digits.safetensors"


def _mlp_weights(folder: Path) -> Path:
    import safetensors.torch

    from .mlp import seeded

    path = folder / "mlp.safetensors"
    safetensors.torch.save_file(seeded().state_dict(), path)
    return path


def _resnet_weights(folder: Path) -> Path:
    import safetensors.torch

    from .resnet import seeded

    path = folder / "resnet.safetensors"
    safetensors.torch.save_file(seeded().state_dict(), path)
    return path


WORKLOADS = {
    "embed": Workload(
        "embed", f"{EMBED / 'model.py'}:Embed", None, 4_000, 64, _sentence_table, _embed_weights
    ),
    "digits": Workload(
        "digits", f"{DIGITS / 'model.py'}:Digits", None, 100_000, 256, _digit_table, _digit_weights
    ),
    "tabular": Workload(
        "tabular",
        f"{Path(__file__).parent / 'mlp.py'}:MLP",
        tuple(f"f{i}" for i in range(FEATURES)),
        2_000_000,
        8192,
        _number_table,
        _mlp_weights,
    ),
    "images": Workload(
        "images",
        f"{Path(__file__).parent / 'classify.py'}:Classify",
        None,
        500,
        32,
        _image_table,
        _resnet_weights,
    ),
}
