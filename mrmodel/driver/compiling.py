"""--compile: a model's modules become machine code once, before the job; tasks load it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.trial import by_size, load, sample
from mrmodel.models.compiled import ABOUT, compile_modules, machine
from mrmodel.shards.plan import Source
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.forward import Forward
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tasks.spec import TaskData
from mrmodel.tensors.columns import take
from mrmodel.users import cache_folder

# rows of the batches by which sizes are seen to differ
BATCHES = (7, 5, 3)


def compiled_files(files: ModelFiles, data: TaskData, sources: Iterable[Source]) -> dict[str, str]:
    """The packages of the model, name → path, made now or by an earlier job of this machine; none
    where the input is too small to compile for.

    Raises ModelError where the model cannot be compiled.
    """
    folder = cache_folder() / "compiled" / _key(files, data)
    if not (folder / ABOUT).exists():
        rows = sample(data, sources, data.columns)
        if rows is None or rows.num_rows < max(BATCHES):
            return {}
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
        temporary.mkdir(parents=True)
        try:
            _compile(files, data, rows, temporary)
            temporary.rename(folder)
        except OSError:
            if not (folder / ABOUT).exists():  # else another job was quicker
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return {path.name: str(path) for path in sorted(folder.iterdir())}


def _compile(files: ModelFiles, data: TaskData, rows: Any, folder: Path) -> None:
    inputs = data.columns
    predictor = load(files.spec, inputs)
    sizer = BatchSizer(max(BATCHES))
    forward = Forward(predictor, inputs, sizer, Clock(), lambda rows, seconds: None)

    def run() -> None:
        order, prepared = by_size(predictor, forward, rows)
        for number, count in enumerate(BATCHES):
            # the longest rows, those in the middle, and the shortest
            begin = number * (len(order) - count) // (len(BATCHES) - 1)
            indices = order[begin : begin + count]
            ready = None if prepared is None else take(prepared, indices)
            forward.run(rows, indices, ready, None)

    compile_modules(predictor, run, folder)


def _key(files: ModelFiles, data: TaskData) -> str:
    """What the packages depend on."""
    spec = files.spec
    told = [
        files.sha256, files.code_sha256, spec.ref, spec.args, spec.dtype, spec.quantize,
        data.schema, data.inputs, data.image_size, machine(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
