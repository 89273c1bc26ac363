"""The user's code and weights, put in place. Without torch: reducers do without."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mrmodel.tasks.spec import TaskModel

CODE_ZIP = "code.zip"
ARCHIVES = (".zip", ".whl", ".egg")


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
