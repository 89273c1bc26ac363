"""A model that can be trained: a batch of columns in, the mean loss of its rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mrmodel.errors import ModelError, UsageError
from mrmodel.models import reference
from mrmodel.models.adapters import (
    check_inputs,
    one_tensor,
    pick_dtype,
    takes_batch_index,
    to_tensor,
)
from mrmodel.models.importing import import_object, user_code
from mrmodel.models.loading import build_late, construct
from mrmodel.models.weights import load_into

# name → (function, whether labels are classes)
LOSSES = {
    "cross_entropy": (functional.cross_entropy, True),
    "nll": (functional.nll_loss, True),
    "mse": (functional.mse_loss, False),
    "l1": (functional.l1_loss, False),
    "huber": (functional.huber_loss, False),
    "smooth_l1": (functional.smooth_l1_loss, False),
    "bce_with_logits": (functional.binary_cross_entropy_with_logits, False),
}


class Trainable:
    """`module` with its loss. ``inputs`` are the columns it reads beside the label (None: all);
    ``device`` is where it is."""

    def __init__(self, module: torch.nn.Module, inputs: Sequence[str] | None, dtype: torch.dtype):
        self.module = module.to(dtype)
        self.inputs = inputs
        self.dtype = dtype
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move to `device`, where batches go from then on."""
        self.module.to(device)
        self.device = device

    def loss(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        """The mean loss of the rows of `batch` (column → array or list), a scalar that can be
        differentiated."""
        raise TypeError(f"{type(self).__name__} does not define loss(batch, index)")

    def validation_loss(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        """The mean loss of rows that are not learnt from."""
        return self.loss(batch, index)

    def optimizer(self) -> Any:
        """What the model's own configure_optimizers returns; None where it has none."""
        return None


class PlainTrainable(Trainable):
    """An nn.Module, a loss by name, and the column with the right answers."""

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Sequence[str],
        label: str,
        loss: str,
        dtype: torch.dtype,
    ):
        super().__init__(module, list(inputs), dtype)
        self._label, self._name = label, loss
        self._loss, self._classes = LOSSES[loss]

    def loss(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        inputs = one_tensor({name: batch[name] for name in self.inputs or ()}, self.dtype)
        inputs, labels = inputs.to(self.device), self._labels(batch[self._label]).to(self.device)
        outputs = self.module(inputs)
        if not isinstance(outputs, torch.Tensor):
            raise ModelError(
                f"--loss {self._name}: expected a module that returns a tensor but it returned a "
                f"{type(outputs).__name__}: give it a training_step"
            )
        if self._classes:
            self._check_classes(outputs, labels)
        elif outputs.shape != labels.shape and outputs.numel() == labels.numel():
            outputs = outputs.reshape(labels.shape)
        if not self._classes and outputs.shape != labels.shape:
            raise ModelError(
                f"--loss {self._name}: outputs have shape {tuple(outputs.shape)} but the label "
                f"column {self._label!r} {tuple(labels.shape)}: expected the same"
            )
        return self._loss(outputs, labels)

    def _labels(self, values: Any) -> torch.Tensor:
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            kind = type(values[0]).__name__ if len(values) else "nothing"
            raise ModelError(
                f"label column {self._label!r} holds {kind}: expected "
                + ("class numbers" if self._classes else "numbers")
            )
        if not self._classes:
            return to_tensor(values, self.dtype)
        if values.dtype.kind == "f":
            raise ModelError(
                f"label column {self._label!r} is {values.dtype}: --loss {self._name} takes class "
                f"numbers, which are whole (0, 1, ...)"
            )
        return torch.from_numpy(values.astype(np.int64))

    def _check_classes(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        classes = outputs.shape[1] if outputs.ndim > 1 else 1
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise ModelError(
                f"label column {self._label!r} holds class {int(wrong[0])}, but the model has "
                f"{classes} outputs, for classes 0 to {classes - 1}"
            )


class StepTrainable(Trainable):
    """A class with Lightning's names: ``training_step(batch, batch_idx)`` gets a dict of column →
    tensor (floating-point ones in `dtype`; a list where a column is not numbers)."""

    def __init__(self, module: Any, inputs: Sequence[str] | None, dtype: torch.dtype):
        super().__init__(module, inputs, dtype)
        self._validates = _has_own(type(module), "validation_step")

    def loss(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        return self._call("training_step", batch, index)

    def validation_loss(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        """By validation_step where the class has one, else by training_step."""
        return self._call("validation_step" if self._validates else "training_step", batch, index)

    def _call(self, name: str, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        step = getattr(self.module, name)
        tensors = {name: self._tensor(values) for name, values in batch.items()}
        with user_code(f"failed in {name}"):
            found = step(tensors, *([index] if takes_batch_index(step) else []))
        loss = found.get("loss") if isinstance(found, Mapping) else found
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            what = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else repr(found)
            raise ModelError(
                f"{name}() returned {what}: expected the mean loss of the batch, a tensor with one "
                f"number, or a dict with it as 'loss'"
            )
        return loss.reshape(())

    def optimizer(self) -> Any:
        configure = getattr(self.module, "configure_optimizers", None)
        if configure is None:
            return None
        with user_code("failed in configure_optimizers"):
            return configure()

    def _tensor(self, values: Any) -> Any:
        is_numbers = isinstance(values, np.ndarray) and values.dtype.kind in "biuf"
        if not is_numbers:
            return values
        is_float = values.dtype.kind == "f"
        tensor = to_tensor(values, self.dtype) if is_float else torch.from_numpy(values)
        return tensor.to(self.device)


def load_trainable(
    ref: str,
    *,
    model_args: Mapping[str, Any] | None = None,
    state: dict[str, torch.Tensor] | None = None,
    inputs: Sequence[str] | None = None,
    label: str | None = None,
    loss: str | None = None,
    dtype: str = "float32",
    source: str = "weights",
    configure: Callable[[torch.nn.Module], None] = build_late,
) -> Trainable:
    """The model that `ref` names, ready to be trained, with the weights `state`. `configure` lets
    it build what it leaves to ``configure_model``.

    Raises ModelError where it cannot be loaded, or has neither a training_step nor a loss.
    """
    parsed = reference.parse(ref)
    if parsed.kind == "pt2":
        raise ModelError(f"{ref}: an exported program cannot be trained: expected file.py:Name")
    module = construct(import_object(parsed), parsed, model_args or {})
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{ref}: expected an nn.Module to train but it is a {type(module).__name__}"
        )
    with user_code():
        configure(module)
    if state is not None:
        load_into(module, state, source)
    module.train()
    own_step = _has_own(type(module), "training_step")
    return _trainable(ref, module, own_step, inputs, label, loss, pick_dtype(dtype))


def _has_own(kind: type, name: str) -> bool:
    """Whether the method `name` is the user's and not the stub of Lightning's base class."""
    base = next((c for c in kind.__mro__ if name in vars(c)), None)
    lightning = ("lightning", "pytorch_lightning")
    return base is not None and base.__module__.partition(".")[0] not in lightning


def _trainable(
    ref: str,
    module: torch.nn.Module,
    own_step: bool,
    inputs: Sequence[str] | None,
    label: str | None,
    loss: str | None,
    dtype: torch.dtype,
) -> Trainable:
    if own_step and loss is None:
        named = inputs if inputs is not None else getattr(module, "inputs", None)
        return StepTrainable(module, named, dtype)
    if loss is None or label is None:
        raise ModelError(
            f"{ref} has no training_step(batch, batch_idx): give it one, or name a loss and the "
            f"column with the right answers: --loss {'|'.join(LOSSES)} --label COLUMN"
        )
    if loss not in LOSSES:
        raise UsageError(f"--loss {loss}: expected one of {', '.join(LOSSES)}")
    return PlainTrainable(module, check_inputs(inputs, "a plain nn.Module"), label, loss, dtype)
