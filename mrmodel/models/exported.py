"""torch.export files (.pt2) as Predictors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from mrmodel.errors import ModelError
from mrmodel.models.adapters import (
    LoadOptions,
    named_outputs,
    numeric,
    one_tensor,
    pick_device,
    to_tensor,
    weights_path,
)
from mrmodel.models.importing import user_code
from mrmodel.models.predictor import Predictor
from mrmodel.models.pt2_check import check_exported, tensors_only
from mrmodel.models.weights import load_into, read_state_dict


@dataclass(frozen=True)
class TensorInput:
    """One input of an exported program; None in `shape` is a size that may change."""

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype


class ExportedAdapter(Predictor):
    """An exported program, fed as a plain nn.Module is.

    A program of one input gets all columns as one tensor; one of several inputs gets one column
    each, by name where the names are the same, else in order. Dtypes are those of the program.
    A batch that the program does not take (its first dimension may be fixed, or bounded) is cut
    into pieces; the last piece is padded by repeating its last row, and the result cut.
    """

    def __init__(
        self, program: torch.export.ExportedProgram, inputs: Sequence[str] | None, device: str
    ):
        self.device = torch.device(device)
        self.expected = tensor_inputs(program)
        self.smallest, self.largest = batch_limits(program)
        self.inputs = _columns(inputs, self.expected)
        self.module = _on_device(program, self.device).module()
        self._spec = program.call_spec.in_spec
        self.batch_size = self.largest if self.smallest == self.largest else None

    def prepare(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        columns = {name: batch[name] for name in self.inputs}
        if len(self.expected) == 1:
            only = self.expected[0]
            return {only.name: _fit(one_tensor(columns, only.dtype), only)}
        pairs = zip(self.expected, columns.items(), strict=True)
        return {e.name: _fit(to_tensor(numeric(*column), e.dtype), e) for e, column in pairs}

    def predict(self, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        tensors = [batch[e.name].to(self.device) for e in self.expected]
        return _join([self._run(piece) for piece in self._pieces(tensors)])

    def _pieces(self, tensors: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
        rows = len(tensors[0])
        step = self.largest or max(rows, 1)
        for begin in range(0, max(rows, 1), step):
            yield [t[begin : begin + step] for t in tensors]

    def _run(self, tensors: list[torch.Tensor]) -> dict[str, Any]:
        rows = len(tensors[0])
        padded = [_pad(t, self.smallest) for t in tensors]
        args, kwargs = pytree.tree_unflatten(padded, self._spec)
        outputs = named_outputs(self.module(*args, **kwargs))
        if rows == len(padded[0]):
            return outputs
        return {name: _cut(value, len(padded[0]), rows) for name, value in outputs.items()}


def load_exported(path: Path, options: LoadOptions) -> ExportedAdapter:
    """The program of a .pt2 file, ready to predict.

    Weights that are a .pt2 file themselves are that file where it lies on this machine: jobs ship
    it as they ship weights. Raises ModelError when the file is not one, could run code, or does
    not fit the options.
    """
    if options.args:
        raise ModelError(f"{path}: a .pt2 file takes no model args: they were fixed by exporting")
    if options.dtype != "float32" or options.quantize:
        option = "--quantize" if options.quantize else "--dtype"
        raise ModelError(f"{path}: {option} does not change a .pt2 file: export it in that form")
    device = pick_device(options.device)
    weights = weights_path(options.weights)
    if weights is not None and weights.suffix == ".pt2":
        path, weights = weights, None
    program = read_exported(path)
    adapter = ExportedAdapter(program, options.inputs, device)
    if weights is not None:
        state = read_state_dict(weights)
        load_into(adapter.module, state, weights)
        adapter.module.to(device)
    return adapter


def read_exported(path: Path) -> torch.export.ExportedProgram:
    """The program of a .pt2 file, checked before torch reads it. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist")
    check_exported(path)
    with user_code(f"in {path.name} could not be read"), tensors_only():
        return torch.export.load(path)


def tensor_inputs(program: torch.export.ExportedProgram) -> list[TensorInput]:
    """The inputs of `program` that are not its weights. Raises ModelError if one is no tensor."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for name in program.graph_signature.user_inputs:
        value = nodes[name].meta.get("val") if isinstance(name, str) else name
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            raise ModelError(
                f"the exported program has the input {name!r}, which is no tensor of rows: export "
                "a module whose inputs are tensors with the batch first, or write a Predictor"
            )
        shape = tuple(s if isinstance(s, int) else None for s in value.shape)
        found.append(TensorInput(str(name), shape, value.dtype))
    if not found:
        raise ModelError("the exported program has no inputs: there is nothing to predict from")
    return found


def batch_limits(program: torch.export.ExportedProgram) -> tuple[int, int | None]:
    """The fewest and most rows that `program` takes at once (None: any number)."""
    first = program.graph_signature.user_inputs[0]
    node = next(node for node in program.graph.nodes if node.name == first)
    size = node.meta["val"].shape[0]
    if isinstance(size, int):
        return size, size
    allowed = program.range_constraints.get(size.node.expr)
    lower = int(allowed.lower) if allowed is not None and allowed.lower.is_number else 1
    bounded = allowed is not None and allowed.upper.is_Integer
    return max(lower, 1), int(allowed.upper) if bounded else None


def _columns(inputs: Sequence[str] | None, expected: list[TensorInput]) -> list[str]:
    """The columns to read, in the order of the program's inputs."""
    names = [e.name for e in expected]
    if inputs is None:
        return names
    if len(names) == 1:
        return list(inputs)
    if len(inputs) != len(names):
        raise ModelError(
            f"the exported program has {len(names)} inputs ({', '.join(names)}) but --inputs names "
            f"{len(inputs)} columns ({', '.join(inputs)}): name one column for each"
        )
    return names if set(names) == set(inputs) else list(inputs)


def _on_device(
    program: torch.export.ExportedProgram, device: torch.device
) -> torch.export.ExportedProgram:
    if device.type == "cpu":
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, device)


def _fit(tensor: torch.Tensor, expected: TensorInput) -> torch.Tensor:
    """One number per row is (rows,) to some programs and (rows, 1) to others."""
    if len(expected.shape) == 1 and tensor.ndim == 2 and tensor.shape[1] == 1:
        return tensor[:, 0]
    return tensor[:, None] if len(expected.shape) == 2 and tensor.ndim == 1 else tensor


def _pad(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    missing = rows - len(tensor)
    return (
        tensor
        if missing <= 0
        else torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])
    )


def _cut(value: Any, padded: int, rows: int) -> Any:
    aligned = isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim and len(value) == padded
    return value[:rows] if aligned else value


def _join(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    first = pieces[0]
    if len(pieces) == 1:
        return first
    return {name: _concatenate([piece[name] for piece in pieces]) for name in first}


def _concatenate(values: list[Any]) -> Any:
    """The rows of all `values`; what has no rows is left for the check of the outputs."""
    rows = all(isinstance(v, torch.Tensor) and v.ndim for v in values)
    return torch.cat(values) if rows else values[0]
