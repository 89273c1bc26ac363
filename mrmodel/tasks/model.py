"""The model of a task: code and weights put in place, loaded once."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mrmodel.models.ensemble import Ensemble, Member, speaking_for
from mrmodel.models.loading import load_predictor
from mrmodel.tasks.spec import TaskEnsemble, TaskMember, TaskModel, TaskSpec
from mrmodel.tensors.aggregation import parse_aggregation

CODE_ZIP = "code.zip"
ARCHIVES = (".zip", ".whl", ".egg")


def set_threads(threads: int) -> None:
    """`threads` for torch and the libraries below it."""
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # tokenizers starts its own pool, which the forward pass would fight with
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false" if threads == 1 else "true")


def predictor_of(spec: TaskSpec) -> Any:
    """What a task predicts with, ready; of several models, one predictor that runs them all.
    Raises as `load` does, then with the model's name."""
    inputs = spec.task_data.inputs
    if spec.ensemble is None:
        return load(spec.task_model, inputs)
    ensemble = TaskEnsemble.from_dict(spec.ensemble)
    members = [_load_member(member, inputs) for member in ensemble.task_members]
    return Ensemble(members, ensemble.aggregate and parse_aggregation(ensemble.aggregate))


def _load_member(member: TaskMember, inputs: tuple[str, ...] | None) -> Member:
    columns = inputs if member.inputs is None else member.inputs
    with speaking_for(member.name):
        return Member(member.name, load(member.task_model, columns), columns)


def load(task_model: TaskModel, inputs: tuple[str, ...] | None) -> Any:
    """The predictor, ready. Raises ModelError when it cannot be loaded."""
    spec = task_model.model
    ref = reach_code(task_model)
    return load_predictor(
        ref,
        model_args=spec.args,
        weights=weights_of(task_model),
        device=spec.device,
        dtype=spec.dtype,
        inputs=list(inputs) if inputs is not None else None,
    )


def reach_code(task_model: TaskModel) -> str:
    """Make the user's code importable; the reference to the model in it."""
    spec = task_model.model
    if task_model.shipped:
        return _unpack_code(spec.ref, task_model.place)
    paths = import_paths(spec.py_files)
    sys.path[:0] = [path for path in paths if path not in sys.path]
    return spec.ref


def import_paths(py_files: Sequence[str]) -> list[str]:
    """What sys.path needs for the code that --py-files names: the folders that hold files and
    packages, and archives themselves."""
    paths = [Path(path).resolve() for path in py_files]
    return [str(path if path.suffix in ARCHIVES else path.parent) for path in paths]


def _unpack_code(ref: str, place: str) -> str:
    """Unpack the user's code beside the task; the reference to the model in it."""
    root = Path.cwd() / "user_code"
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(CODE_ZIP) as code:
        code.extractall(root)
    folder = root / place
    sys.path.insert(0, str(folder))
    path, _, name = ref.rpartition(":")
    return f"{folder / Path(path).name}:{name}" if path.endswith(".py") else ref


def weights_of(task_model: TaskModel) -> Path | None:
    """Where the weights lie on this machine; None where the model has none."""
    if not task_model.shipped:
        return Path(task_model.weights) if task_model.weights else None
    return _linked_weights(task_model)


def _linked_weights(task_model: TaskModel) -> Path | None:
    """The weights as the user laid them out, as links to the node's one copy."""
    folder = Path.cwd() / "weights" / task_model.place
    for name, link in task_model.weights_links.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(Path.cwd() / link)
    if not task_model.weights_links:
        return None
    only = next(iter(task_model.weights_links))
    return folder if task_model.weights_is_folder else folder / only
