"""Nested values with tensors in them (the state of an optimiser) as JSON and safetensors bytes.

torch.save would pickle them; nothing that mrmodel reads back may run code.
"""

from __future__ import annotations

from typing import Any

import torch

_TENSOR = "tensor"


def split(value: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """`value` as JSON, its tensors left out, and these by the names that stand for them.

    Dicts may have keys of any JSON type. Raises TypeError for what is none of dict, list, tuple,
    tensor, number, str, bool and None.
    """
    tensors: dict[str, torch.Tensor] = {}
    return _split(value, tensors), tensors


def join(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value that `split` made `tree` and `tensors` of."""
    if not isinstance(tree, list):
        return tree
    kind, content = tree
    if kind == _TENSOR:
        return tensors[content]
    if kind == "dict":
        return {key: join(value, tensors) for key, value in content}
    items = [join(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def _split(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return [_TENSOR, name]
    if isinstance(value, dict):
        return ["dict", [[key, _split(item, tensors)] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return [kind, [_split(item, tensors) for item in value]]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"expected tensors, numbers and text but received a {type(value).__name__}")
