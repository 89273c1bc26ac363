"""Plain modules and Lightning classes as Predictors, so that a task sees one interface."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.predictor import Predictor

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model: the arguments of `loading.load_predictor`."""

    args: Mapping[str, Any] = field(default_factory=dict)
    weights: str | Path | None = None
    device: str = "auto"
    dtype: str = "float32"
    inputs: Sequence[str] | None = None
    quantize: str | None = None


class ModuleAdapter(Predictor):
    """An nn.Module whose input columns are one tensor.

    ``prepare`` gives {"input": tensor}: number columns (rows, columns), one column of fixed-size
    lists (rows, …), one of images (rows, 3, height, width) scaled to 0…1; in `dtype`, on the
    CPU. ``predict`` gives a tensor as {"output": …}, a tuple as output_0, output_1, … and
    mappings by their keys.

    `only_reads`: ``prepare`` copies what it is given, which may be Arrow's own memory then.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Sequence[str],
        device: str,
        dtype: torch.dtype = torch.float32,
    ):
        self.inputs = list(inputs)
        self.only_reads = len(self.inputs) > 1
        self.device = torch.device(device)
        self.dtype = dtype
        self.module = to_device(module, self.device, dtype)

    def prepare(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        return {"input": one_tensor({name: batch[name] for name in self.inputs}, self.dtype)}

    def predict(self, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return named_outputs(self.module(batch["input"].to(self.device)))


class LightningAdapter(Predictor):
    """A class with ``predict_step(batch, batch_idx)``, given a dict of column → tensor.

    Columns that are not numbers stay lists; floating-point ones are in `dtype`.
    """

    def __init__(
        self,
        module: Any,
        inputs: Sequence[str] | None,
        device: str,
        dtype: torch.dtype = torch.float32,
    ):
        self.inputs = None if inputs is None else list(inputs)
        self.device = torch.device(device)
        self.dtype = dtype
        self.module = to_device(module, self.device, dtype)
        self._takes_index = takes_batch_index(module.predict_step)
        self._batches = 0

    def prepare(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        names = batch if self.inputs is None else self.inputs
        return {name: _as_tensor(batch[name], self.dtype) for name in names}

    def predict(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        on_device = {k: _move(v, self.device) for k, v in batch.items()}
        index = (self._batches,) if self._takes_index else ()
        self._batches += 1
        return named_outputs(self.module.predict_step(on_device, *index))


def pick_device(name: str) -> str:
    """The torch device for --device: ``auto`` is cuda where there is one, else cpu.

    Raises ModelError when `name` is unknown, or is not there; says what torch sees.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device: expected auto, cpu or cuda but received {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise ModelError(
            f"--device {name}: torch {torch.__version__} (built with {built}) sees "
            f"{torch.cuda.device_count()} CUDA devices here; use --device cpu or auto"
        )
    return name


def pick_dtype(name: str) -> torch.dtype:
    """The torch dtype for --dtype. Raises UsageError for one that models do not run in."""
    try:
        return DTYPES[name]
    except KeyError:
        raise UsageError(f"--dtype: expected {', '.join(DTYPES)} but received {name!r}") from None


def to_device(module: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """`module` in evaluation mode, on `device`, its floating-point parameters in `dtype`."""
    if isinstance(module, torch.nn.Module):
        module.eval()
        return module.to(device=device, dtype=dtype)
    return module


def one_tensor(columns: Mapping[str, Any], dtype: torch.dtype) -> torch.Tensor:
    """`columns` of a batch as the one tensor that a plain nn.Module takes, on the CPU.

    Raises UsageError for images of unequal sizes, ModelError for columns that are not numbers or
    do not fit one tensor, ValueError for lists of unequal lengths (their rows are bad rows).
    """
    arrays = {name: numeric(name, values) for name, values in columns.items()}
    if len(arrays) == 1:
        array = next(iter(arrays.values()))
        return to_tensor(array[:, None] if array.ndim == 1 else array, dtype)
    deep = [name for name, array in arrays.items() if array.ndim > 1]
    if deep:
        raise ModelError(
            f"the columns {', '.join(arrays)} do not fit one tensor ({deep[0]} holds a list or "
            "image in each row): name only number columns or one list column with --inputs, or "
            "write a Predictor"
        )
    return _side_by_side(list(arrays.values()), dtype)


def _side_by_side(columns: Sequence[np.ndarray], dtype: torch.dtype) -> torch.Tensor:
    """`columns` of shape (rows,) as a tensor (rows, columns). By numpy, which has less to do than
    torch before it copies: that tells where columns are many, or rows few."""
    is_short = dtype in (torch.float16, torch.bfloat16)  # by way of float32, as torch rounds
    like = torch.empty(0, dtype=torch.float32 if is_short else dtype).numpy()
    table = np.empty((len(columns[0]), len(columns)), dtype=like.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is infinite, as in torch
        for i, column in enumerate(columns):
            table[:, i] = column
    return torch.from_numpy(table).to(dtype)


def to_tensor(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """`array` in `dtype`; uint8 (rows, height, width, 3), which is an image, becomes
    (rows, 3, height, width) scaled to 0…1 when `dtype` is a floating-point one."""
    tensor = torch.from_numpy(array)
    if _is_image(array) and dtype.is_floating_point:
        scaled = tensor.permute(0, 3, 1, 2).to(torch.float32, copy=True).div_(255)
        return scaled.contiguous().to(dtype)
    return tensor.to(dtype)


def named_outputs(outputs: Any) -> dict[str, Any]:
    """What a module returned as column name → values, one per row."""
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items() if value is not None}
    fields = getattr(outputs, "_fields", None) or getattr(outputs, "__dataclass_fields__", None)
    if fields and not isinstance(outputs, torch.Tensor):
        return named_outputs({name: getattr(outputs, name) for name in fields})
    if isinstance(outputs, (tuple, list)) and any(isinstance(o, torch.Tensor) for o in outputs):
        return {f"output_{i}": value for i, value in enumerate(outputs)}
    return {"output": outputs}


def takes_batch_index(predict_step: Any) -> bool:
    """True for predict_step(batch, batch_idx), False for predict_step(batch)."""
    parameters = inspect.signature(predict_step).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) > 1


def _is_image(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.ndim == 4 and array.shape[-1] == 3


def numeric(name: str, values: Any) -> np.ndarray:
    """`values` of the column `name`, if they are one array of numbers. Raises as one_tensor."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    if isinstance(values, list) and values and isinstance(values[0], np.ndarray):
        _refuse_unequal(name, values)
    kind = values.dtype if isinstance(values, np.ndarray) else _kind(values)
    raise ModelError(
        f"column {name!r} holds {kind}, which is not numbers: a plain nn.Module takes one tensor "
        "of its --inputs; write a Predictor, whose prepare() turns the column into one"
    )


def _refuse_unequal(name: str, values: list[np.ndarray]) -> None:
    if values[0].dtype == np.uint8 and values[0].ndim == 3:
        sizes = sorted({f"{v.shape[0]}x{v.shape[1]}" for v in values})
        raise UsageError(
            f"the images of column {name!r} have different sizes ({', '.join(sizes[:3])}): say "
            "--image-size HEIGHTxWIDTH to resize them all, or write a Predictor"
        )
    lengths = sorted({len(v) for v in values})
    raise ValueError(
        f"the lists of column {name!r} have different lengths ({lengths[0]} to {lengths[-1]}): a "
        "plain nn.Module takes one length; write a Predictor, whose prepare() pads them"
    )


def _kind(values: Any) -> str:
    return f"values of type {type(values[0]).__name__}" if len(values) else "nothing"


def _as_tensor(values: Any, dtype: torch.dtype) -> Any:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        return values
    tensor = torch.from_numpy(values)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _move(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def check_inputs(inputs: Sequence[str] | None, what: str) -> list[str]:
    """`inputs`, or ModelError when --inputs was not given to a model that cannot name its own."""
    if inputs:
        return list(inputs)
    raise ModelError(f"{what} needs --inputs COL,...: the columns that become its input tensor")


def weights_path(weights: str | Path | None) -> Path | None:
    """`weights` as a path that exists. Raises ModelError otherwise."""
    path = None if weights is None else Path(weights).expanduser()
    if path is not None and not path.exists():
        raise ModelError(f"weights {weights} do not exist: expected a file or folder")
    return path
