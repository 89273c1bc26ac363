"""The form in which a model runs: in another dtype, or with linear layers of 8-bit integers.

What calls the model sees float32 as before: numbers become the model's dtype on their way in, and
float32 on their way out.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

from mrmodel.errors import ModelError
from mrmodel.models.predictor import Predictor


def held_modules(predictor: Predictor) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules that `predictor` holds, by names like ``model`` and ``heads.0``."""
    for name, _, _, module in _places(predictor):
        yield name, module


def modules_of(predictor: Predictor) -> list[torch.nn.Module]:
    """The modules that `predictor` holds: its attributes, and what is in those that are lists or
    dicts."""
    return [module for _, module in held_modules(predictor)]


def parts_of(predictor: Predictor) -> list[torch.nn.Module]:
    """All modules of `predictor`, those within others too, each once."""
    held = modules_of(predictor)
    return list({id(part): part for module in held for part in module.modules()}.values())


def to_dtype(predictor: Predictor, dtype: torch.dtype) -> None:
    """Let the modules of `predictor` compute in `dtype`. Raises ModelError where it has none."""
    modules = modules_of(predictor)
    if not modules:
        raise ModelError(
            f"--dtype {_name(dtype)}: {type(predictor).__name__} holds no nn.Module as an "
            f"attribute: expected one that can be converted; choose the dtype in load()"
        )
    border = _Border(dtype)
    for module in modules:
        module.to(dtype)
        border.watch(module)


def quantize(predictor: Predictor, device: str) -> None:
    """Give the linear layers of `predictor` weights of 8-bit integers, a scale per output; their
    inputs are rounded to 8 bits, too, with a scale per batch (dynamic quantization, CPU only).

    Raises ModelError where there is none, or on another `device`.
    """
    if torch.device(device).type != "cpu":
        raise ModelError(f"--quantize int8 is for CPUs, but the model runs on {device}")
    changed = 0
    for _, holder, key, module in list(_places(predictor)):
        changed += sum(isinstance(part, torch.nn.Linear) for part in module.modules())
        holder[key] = _quantized(module)
    if not changed:
        raise ModelError(
            f"--quantize int8: {type(predictor).__name__} holds no nn.Linear: expected one whose "
            f"weights can be rounded"
        )


def _quantized(module: torch.nn.Module) -> torch.nn.Module:
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():  # of its move to a package of its own, which is heavy
        warnings.simplefilter("ignore")
        # inside another module: what is given itself would stay as it is
        held = torch.nn.Sequential(module)
        each = {torch.nn.Linear: per_channel_dynamic_qconfig}
        return quantize_dynamic(held, each, dtype=torch.qint8, inplace=True)[0]


def _places(predictor: Predictor) -> Iterator[tuple[str, Any, Any, torch.nn.Module]]:
    """(name, holder, key, module), so that ``holder[key]`` is the module: an attribute, or in one
    that is a list or a dict."""
    own = vars(predictor)
    for name, value in own.items():
        if isinstance(value, torch.nn.Module):
            yield name, own, name, value
        items = value.items() if isinstance(value, dict) else ()
        items = enumerate(value) if isinstance(value, list) else items
        for key, held in items:
            if isinstance(held, torch.nn.Module):
                yield f"{name}.{key}", value, key, held


class _Border:
    """Numbers that cross from the caller's code into modules, and back. Watched are modules and
    their children, since code may call these, too; what they call among each other stays."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype
        self._inside = threading.local()

    def watch(self, module: torch.nn.Module) -> None:
        for part in (module, *module.children()):
            part.register_forward_pre_hook(self._enter, with_kwargs=True)
            part.register_forward_hook(self._leave, always_call=True)

    def _enter(self, module: torch.nn.Module, args: Any, kwargs: Any) -> Any:
        depth = getattr(self._inside, "depth", 0)
        self._inside.depth = depth + 1
        return None if depth else tree_map(self._cast(torch.float32, self._dtype), (args, kwargs))

    def _leave(self, module: torch.nn.Module, args: Any, outputs: Any) -> Any:
        self._inside.depth -= 1
        if self._inside.depth:
            return None
        return tree_map(self._cast(self._dtype, torch.float32), outputs)

    def _cast(self, source: torch.dtype, target: torch.dtype) -> Callable[[Any], Any]:
        def cast(value: Any) -> Any:
            is_source = isinstance(value, torch.Tensor) and value.dtype is source
            return value.to(target) if is_source else value

        return cast


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
