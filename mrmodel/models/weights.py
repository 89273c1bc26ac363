"""--weights: find the files, hash them, read them as a state dict, put them into a module.

Nothing here runs code that a file carries: safetensors has none, and torch.load is only ever
called with weights_only=True.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrmodel.errors import ModelError

if TYPE_CHECKING:
    import torch

PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_INDEX = "model.safetensors.index.json"
_NESTED = ("state_dict", "model_state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")
_SAFE = "save a state dict or safetensors: torch.save(model.state_dict(), {!r})"


@dataclass(frozen=True)
class WeightsFiles:
    """What --weights names: `root`, a file or a folder, and (name relative to it, bytes) of every
    file, sorted by name. The name of a single file is its own."""

    root: Path
    files: tuple[tuple[str, int], ...]

    @property
    def nbytes(self) -> int:
        return sum(size for _, size in self.files)


def resolve_weights(path: str | Path) -> WeightsFiles:
    """The files that `path` stands for; hidden ones are left out.

    Raises ModelError when there is none.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return WeightsFiles(root, ((root.name, root.stat().st_size),))
    if not root.is_dir():
        raise ModelError(f"weights {path} do not exist: expected a file or folder")
    found = sorted((p.relative_to(root).as_posix(), p) for p in root.rglob("*") if p.is_file())
    files = tuple((name, p.stat().st_size) for name, p in found if not _hidden(name))
    if not files:
        raise ModelError(f"weights {path} hold nothing: the folder has no files")
    return WeightsFiles(root, files)


def hash_weights(path: str | Path) -> str:
    """SHA-256 of the weights: of a file's bytes; of the names, sizes and bytes of a folder."""
    weights = resolve_weights(path)
    digest = hashlib.sha256()
    for name, size in weights.files:
        source = weights.root
        if weights.root.is_dir():
            source = weights.root / name
            digest.update(f"{name}\0{size}\0".encode())
        with source.open("rb") as f:
            while chunk := f.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Name → tensor, on the CPU and memory-mapped where the format allows it.

    `path`: a safetensors file, a state dict of torch.save, or a folder of them (all its
    *.safetensors together; those of model.safetensors.index.json where it has one). Checkpoints
    that keep the state dict under "state_dict" are unwrapped. Raises ModelError for anything
    missing, broken, or made of code.
    """
    root = resolve_weights(path).root
    if root.is_dir():
        return _read_folder(root)
    if root.suffix == ".safetensors":
        return _read_safetensors(root)
    if root.suffix in PICKLE_SUFFIXES:
        return _read_torch(root)
    raise ModelError(
        f"weights {root}: expected .safetensors, {', '.join(PICKLE_SUFFIXES)} or a folder"
    )


def load_into(module: torch.nn.Module, state: dict[str, torch.Tensor], source: Any) -> None:
    """Give `module` the tensors of `state`; `source` is named in errors.

    The tensors themselves become the parameters, so that memory-mapped weights stay shared
    between the tasks of a node. Raises ModelError when names or shapes do not match.
    """
    from torch.nn.parameter import is_lazy

    own = module.state_dict(keep_vars=True)
    state = _unwrapped(state, own)
    sizes = [
        f"{key} is {_shape(state[key])} in the file and {_shape(own[key])} in the model"
        for key in state
        if key in own and not is_lazy(own[key]) and _shape(state[key]) != _shape(own[key])
    ]
    if sizes:
        raise ModelError(f"weights {source} do not fit the model: {_few(sizes)}")
    _fill_tied(state, own)
    try:
        found = module.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as e:
        raise ModelError(f"weights {source} do not fit the model: {_one_line(e)}") from e
    problems = [
        f"{len(keys)} {what} ({_few(keys)})"
        for what, keys in (("missing", found.missing_keys), ("unexpected", found.unexpected_keys))
        if keys
    ]
    if problems:
        raise ModelError(f"weights {source} do not fit the model: {', '.join(problems)}")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))


def _read_folder(root: Path) -> dict[str, torch.Tensor]:
    index = root / _INDEX
    if index.is_file():
        files = [root / name for name in _indexed(index)]
    elif (root / "weights.safetensors").is_file():  # a checkpoint folder of `mrmodel train`
        files = [root / "weights.safetensors"]
    else:
        files = sorted(root.glob("*.safetensors"))
    if files:
        return _merge(files)
    pickles = sorted(p for p in root.iterdir() if p.suffix in PICKLE_SUFFIXES)
    if len(pickles) == 1:
        return _read_torch(pickles[0])
    there = ", ".join(sorted(p.name for p in root.iterdir())[:10])
    raise ModelError(f"weights {root}: expected *.safetensors in the folder but it holds {there}")


def _indexed(index: Path) -> list[str]:
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
        outside = [name for name in names if Path(name).name != name]
    except (ValueError, KeyError, AttributeError, TypeError) as e:
        raise ModelError(f"weights {index}: not an index of safetensors files: {e!r}") from e
    if outside:
        raise ModelError(f"weights {index}: names a file outside its folder: {outside[0]}")
    return sorted(names)


def _merge(files: Iterable[Path]) -> dict[str, torch.Tensor]:
    merged: dict[str, torch.Tensor] = {}
    for file in files:
        part = _read_safetensors(file)
        twice = sorted(merged.keys() & part.keys())
        if twice:
            raise ModelError(f"weights {file}: {twice[0]} is in another file of the folder too")
        merged.update(part)
    return merged


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as f:
            return {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118  not a dict
    except FileNotFoundError:
        raise ModelError(f"weights {path} do not exist") from None
    except (safetensors.SafetensorError, OSError) as e:
        raise ModelError(
            f"weights {path} cannot be read as safetensors ({_one_line(e)}): the file is "
            "truncated or of another kind"
        ) from e


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    state = _load_torch(path)
    for key in _NESTED:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    return _only_tensors(path, state)


def _load_torch(path: Path) -> Any:
    import torch

    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as e:
            if "mmap can only be used" not in str(e):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise ModelError(_unpickling(path, str(e))) from e
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError) as e:
        if "TorchScript" in str(e):
            raise ModelError(_code(path, "a TorchScript program")) from e
        raise ModelError(
            f"weights {path} cannot be read as a state dict ({_one_line(e)}): the file is "
            "truncated or of another kind"
        ) from e


def _unpickling(path: Path, reason: str) -> str:
    if "Unsupported global" in reason or "Unsupported class" in reason or "GLOBAL" in reason:
        return _code(path, "pickled code")
    return (
        f"weights {path} cannot be read as a state dict: the file is truncated or of another kind; "
        + _SAFE.format(path.name)
    )


def _code(path: Path, what: str) -> str:
    return f"weights {path}: holds {what}, which mrmodel never runs; {_SAFE.format(path.name)}"


def _only_tensors(path: Path, state: Any) -> dict[str, torch.Tensor]:
    import torch

    if isinstance(state, dict) and any(isinstance(v, torch.Tensor) for v in state.values()):
        return dict(state)
    raise ModelError(
        f"weights {path}: expected a state dict (name → tensor) but the file holds a "
        f"{type(state).__name__}; {_SAFE.format(path.name)}"
    )


def _unwrapped(state: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`state` without the prefix of DistributedDataParallel or torch.compile, where that helps."""
    for prefix in _WRAPPERS:
        in_the_way = state and not (state.keys() & own.keys())
        if in_the_way and all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
    return dict(state)


def _fill_tied(state: dict[str, Any], own: dict[str, Any]) -> None:
    """Safetensors stores tied parameters once: give the other names the same tensor."""
    stored = {id(value): key for key, value in own.items() if key in state}
    for key, value in own.items():
        if key not in state and id(value) in stored:
            state[key] = state[stored[id(value)]]


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _few(items: list[str]) -> str:
    return ", ".join(items[:5]) + (", …" if len(items) > 5 else "")


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
