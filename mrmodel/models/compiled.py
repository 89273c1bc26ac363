"""Modules as machine code: exported and compiled once, loaded by tasks, which need no compiler.

What is compiled are the modules that the predictor calls, found by letting it predict a few
batches; sizes that differ between these may be any later. torch.export traces a module, AOTInductor
makes a library of it, with its weights: laid out for this CPU, matrix products take half the time.
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from mrmodel.errors import ModelError
from mrmodel.models.forms import held_modules
from mrmodel.models.predictor import Predictor

ABOUT = "compiled.json"
# relative, of all numbers of a module's output: more is not rounding
CLOSE = {torch.float64: 1e-6, torch.float32: 1e-3}
ROUGH = 0.05  # for dtypes of few bits


@dataclass(frozen=True)
class Leaf:
    """One argument of a module: a tensor's dtype and shape (None for a size that may differ), or
    the `value` of what is no tensor."""

    dtype: str | None = None
    shape: tuple[int | None, ...] = ()
    value: Any = None

    def fits(self, value: Any) -> bool:
        """Whether the compiled module takes `value` in this place."""
        if not isinstance(value, torch.Tensor):
            return self.dtype is None and type(value) is type(self.value) and value == self.value
        return (
            str(value.dtype) == self.dtype
            and value.ndim == len(self.shape)
            and all(n in (None, size) for n, size in zip(self.shape, value.shape, strict=True))
        )


@dataclass(frozen=True)
class Entry:
    """A compiled module: its `name` in the predictor, its `file`, how it was called."""

    name: str
    file: str
    structure: str
    leaves: tuple[Leaf, ...]


def compile_modules(
    predictor: Predictor, run: Callable[[], None], folder: Path
) -> tuple[Entry, ...]:
    """Compile what `predictor` calls while `run` lets it predict several batches, of different
    sizes; packages and ABOUT are put into `folder`.

    Raises ModelError, with what torch says, where a module cannot be exported or compiled.
    """
    entries = []
    for name, calls in _calls(predictor, run).items():
        file = f"module-{len(entries)}.pt2"
        entries.append(_compile(name, named_modules(predictor)[name], calls, folder / file))
    if not entries:
        raise ModelError(
            f"--compile: {type(predictor).__name__} calls no nn.Module that it holds as an "
            f"attribute: expected one to compile; run without --compile"
        )
    about = {**machine(), "modules": [asdict(entry) for entry in entries]}
    (folder / ABOUT).write_text(json.dumps(about, indent=2))
    return tuple(entries)


def use_compiled(predictor: Predictor, files: Mapping[str, Path]) -> None:
    """Let `predictor` run the modules that were compiled; `files` are those of the folder, by
    name. On a machine of another kind it stays as it is, and says so on stderr."""
    about = json.loads(files[ABOUT].read_text())
    why = _unfit(about)
    if why:
        print(f"mrmodel: not compiled for this machine, which {why}", file=sys.stderr)
        return
    modules = named_modules(predictor)
    for told in about["modules"]:
        leaves = tuple(Leaf(**{**leaf, "shape": tuple(leaf["shape"])}) for leaf in told["leaves"])
        entry = Entry(told["name"], told["file"], told["structure"], leaves)
        module = modules[entry.name]
        module.forward = _Compiled(module, entry, files[entry.file])


def take_calls(predictor: Predictor) -> dict[str, int]:
    """How often machine code ran, and how often a module ran in its place, since the last call."""
    total = {"compiled": 0, "as_it_is": 0}
    for module in named_modules(predictor).values():
        if isinstance(module.forward, _Compiled):
            total["compiled"] += module.forward.ran
            total["as_it_is"] += module.forward.passed
            module.forward.ran = module.forward.passed = 0
    return total


def named_modules(predictor: Predictor) -> dict[str, torch.nn.Module]:
    """All modules of `predictor`, also within others, by names like ``model.encoder``."""
    found: dict[str, torch.nn.Module] = {}
    for place, held in held_modules(predictor):
        for name, module in held.named_modules():
            found[f"{place}.{name}".rstrip(".")] = module
    return found


class _Flat(torch.nn.Module):
    """`module` called with tensors alone; the rest of its arguments is fixed."""

    def __init__(self, module: torch.nn.Module, structure: Any, leaves: Sequence[Any]):
        super().__init__()
        self.module = module
        self._structure, self._leaves = structure, list(leaves)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        left = iter(tensors)
        leaves = [next(left) if isinstance(x, torch.Tensor) else x for x in self._leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self._structure)
        return tuple(_tensors(pytree.tree_leaves(self.module(*args, **kwargs))))


class _Compiled:
    """In place of a module's ``forward``. Calls that the package was not made for, and the first of
    each kind, go to the module; that one tells what outputs look like, and is compared."""

    def __init__(self, module: torch.nn.Module, entry: Entry, path: Path):
        self._plain = module.forward
        self._entry = entry
        self._package = torch._inductor.aoti_load_package(str(path))
        self._outputs: _Outputs | None = None
        self._broken = False
        self.ran = self.passed = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        if self._broken or not self._fits(leaves, structure):
            self.passed += 1
            return self._plain(*args, **kwargs)
        self.ran += 1
        if self._outputs is None:
            return self._first(leaves, args, kwargs)
        return self._outputs.filled(self._package(*_tensors(leaves)))

    def _fits(self, leaves: Sequence[Any], structure: Any) -> bool:
        return (
            len(leaves) == len(self._entry.leaves)
            and all(leaf.fits(x) for leaf, x in zip(self._entry.leaves, leaves, strict=True))
            and pytree.treespec_dumps(structure) == self._entry.structure
        )

    def _first(self, leaves: Sequence[Any], args: Any, kwargs: Any) -> Any:
        outputs = self._plain(*args, **kwargs)
        self._outputs = _Outputs(outputs)
        if not _are_alike(outputs, self._package(*_tensors(leaves))):
            self._broken = True
            print(
                f"mrmodel: compiled, {self._entry.name} gives other outputs here: it runs as it is",
                file=sys.stderr,
            )
        return outputs


class _Outputs:
    """The form of what a module returns, seen once: what holds the tensors."""

    def __init__(self, outputs: Any):
        leaves, self._structure = pytree.tree_flatten(outputs)
        self._leaves = [_TENSOR if isinstance(x, torch.Tensor) else x for x in leaves]

    def filled(self, tensors: Sequence[torch.Tensor]) -> Any:
        """`tensors` in that form."""
        left = iter(tensors)
        leaves = [next(left) if x is _TENSOR else x for x in self._leaves]
        return pytree.tree_unflatten(leaves, self._structure)


_TENSOR = object()


def _are_alike(outputs: Any, found: Sequence[torch.Tensor]) -> bool:
    """Whether `found` are the tensors of `outputs`, but for rounding. Numbers outside of tensors
    may be others for other rows, and nobody computes them."""
    leaves = pytree.tree_leaves(outputs)
    if any(isinstance(x, int | float) and not isinstance(x, bool) for x in leaves):
        return False
    return all(_is_close(*pair) for pair in zip(_tensors(leaves), found, strict=True))


def _calls(predictor: Predictor, run: Callable[[], None]) -> dict[str, list[tuple[Any, Any]]]:
    """(args, kwargs) of each call from outside of a module of `predictor`, by the module's name."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    inside: list[str] = []
    hooks = []

    def leave(*_: Any) -> None:
        inside.pop()

    for name, module in named_modules(predictor).items():

        def enter(_: Any, args: Any, kwargs: Any, name: str = name) -> None:
            if not inside:
                found.setdefault(name, []).append(_copied((args, kwargs)))
            inside.append(name)

        hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _compile(name: str, module: torch.nn.Module, calls: Sequence[Any], path: Path) -> Entry:
    structure = pytree.tree_flatten(calls[0])[1]
    alike = [leaves for leaves, kind in map(pytree.tree_flatten, calls) if kind == structure]
    leaves = tuple(_leaf(values) for values in zip(*alike, strict=True))
    # made anew: those of inference_mode cannot be traced
    tensors = tuple(tensor.clone() for tensor in _tensors(alike[0]))
    sizes = [leaf.shape for leaf in leaves if leaf.dtype]
    free = tuple({i: _ANY for i, size in enumerate(shape) if size is None} for shape in sizes)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flat = _Flat(module, structure, alike[0])
            program = torch.export.export(flat, tensors, dynamic_shapes=(free,), strict=False)
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs=_FROZEN
            )
        return Entry(name, path.name, pytree.treespec_dumps(structure), leaves)
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"--compile: {name} ({type(module).__name__}) cannot be compiled: {first[0]}; run "
            f"without --compile",
            detail=str(error),
        ) from error


_ANY = torch.export.Dim.DYNAMIC
_FROZEN = {"freezing": True}


def _leaf(values: Sequence[Any]) -> Leaf:
    first = values[0]
    if not isinstance(first, torch.Tensor):
        return Leaf(value=first)
    shapes = zip(*(value.shape for value in values), strict=True)
    shape = tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in shapes)
    return Leaf(str(first.dtype), shape)


def _tensors(leaves: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def _copied(arguments: Any) -> Any:
    return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.clone(), arguments)


def _is_close(one: torch.Tensor, other: torch.Tensor) -> bool:
    if not one.is_floating_point():
        return torch.equal(one, other)
    far = (one.double() - other.double()).norm() / one.double().norm().clamp_min(1e-12)
    return bool(far <= CLOSE.get(one.dtype, ROUGH))


def machine() -> dict[str, Any]:
    """What machine code depends on."""
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "flags": sorted(_cpu_flags()),
    }


def _unfit(about: Mapping[str, Any]) -> str:
    """Why a package made on the machine that `about` tells of cannot run here; empty if it can."""
    here = machine()
    for what in "torch", "machine":
        if here[what] != about[what]:
            return f"has {what} {here[what]}, not {about[what]}"
    lacking = sorted(set(about["flags"]) - set(here["flags"]))
    return f"lacks {', '.join(lacking)}" if lacking else ""


def _cpu_flags() -> Iterator[str]:
    """What this CPU can do that machine code may rely on."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return
    names = flags.partition(":")[2].split()
    yield from (n for n in names if n.startswith(("avx", "amx", "sse", "fma", "bmi", "f16c")))
