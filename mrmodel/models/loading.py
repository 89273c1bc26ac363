"""From MODEL to a Predictor that is ready to predict."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mrmodel.errors import ModelError
from mrmodel.models import forms, reference
from mrmodel.models.adapters import (
    LightningAdapter,
    LoadOptions,
    ModuleAdapter,
    check_inputs,
    pick_device,
    pick_dtype,
    weights_path,
)
from mrmodel.models.exported import load_exported
from mrmodel.models.importing import import_object, user_code
from mrmodel.models.predictor import Predictor
from mrmodel.models.reference import ModelRef
from mrmodel.models.weights import load_into, read_state_dict

_BASES_WITH_PREDICT_STEP = ("lightning", "pytorch_lightning", "lightning_fabric")


def load_predictor(
    ref: ModelRef | str,
    *,
    model_args: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    inputs: Sequence[str] | None = None,
    quantize: str | None = None,
) -> Predictor:
    """The model that `ref` names, loaded, as a Predictor whose ``load`` is done.

    `weights` is a local file or folder. `inputs` wins over the model's own; ``inputs`` on the
    result is the list of columns to read (None: all). ``batch_size`` on it, where it is there and
    not None, is the size that wastes nothing: the only one its model takes. The caller runs
    prepare and predict under torch.inference_mode.

    Raises ModelError, whose ``detail`` is the user's traceback; UsageError for a bad option.
    """
    ref = reference.parse(ref) if isinstance(ref, str) else ref
    options = LoadOptions(model_args or {}, weights, device, dtype, inputs, quantize)
    if ref.kind == "pt2":
        return load_exported(Path(ref.source), options)
    predictor = adapt(construct(import_object(ref), ref, options.args), options)
    if quantize:
        forms.quantize(predictor, pick_device(device))
    return predictor


def construct(named: Any, ref: ModelRef, args: Mapping[str, Any]) -> Any:
    """The model itself from what `ref` names: a class, a factory, or the model already.

    Raises ModelError when a call fails, or gives neither a Predictor nor an nn.Module.
    """
    if isinstance(named, (Predictor, torch.nn.Module)):
        if args:
            raise ModelError(f"{ref} is an object, not a class or function: it takes no model args")
        return named
    if not callable(named):
        raise ModelError(f"{ref} is a {type(named).__name__}: {_EXPECTED}")
    if isinstance(named, type) and not is_model(named) and hasattr(named, "predict"):
        raise ModelError(f"{ref} has predict() but is no mrmodel.Predictor: make it a subclass")
    with user_code():
        _check_args(named, ref, args)
        model = named(**args)
    if not is_model(type(model)):
        made = "" if isinstance(named, type) else f" returned a {type(model).__name__}:"
        raise ModelError(f"{ref}{made or ' is not a model:'} {_EXPECTED}")
    return model


def adapt(model: Any, options: LoadOptions) -> Predictor:
    """`model` with its weights, as a Predictor that is ready on the device asked for."""
    weights = weights_path(options.weights)
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype)
    if isinstance(model, Predictor):
        return _load_own(model, weights, device, options)
    with user_code():
        build_late(model)
    if weights is not None:
        state = read_state_dict(weights)
        with user_code():
            load_into(model, state, weights)
    if has_predict_step(type(model)):
        return LightningAdapter(model, options.inputs, device, dtype)
    return ModuleAdapter(model, check_inputs(options.inputs, _PLAIN), device, dtype)


def build_late(model: Any) -> None:
    """Let a Lightning class build the layers that it leaves to ``configure_model``."""
    configure = getattr(model, "configure_model", None)
    if has_predict_step(type(model)) and callable(configure):
        configure()


def is_model(kind: type) -> bool:
    """True for classes whose instances can be adapted."""
    return issubclass(kind, (Predictor, torch.nn.Module)) or has_predict_step(kind)


def has_predict_step(kind: type) -> bool:
    """True when `kind` has a predict_step of its own, not only the default of lightning's base."""
    for base in kind.__mro__:
        if "predict_step" in vars(base):
            return base.__module__.partition(".")[0] not in _BASES_WITH_PREDICT_STEP
    return False


_EXPECTED = (
    "expected a mrmodel.Predictor subclass, an nn.Module class or object, a class with "
    "predict_step, or a function that returns one of them"
)
_PLAIN = "a plain nn.Module"


def _load_own(
    predictor: Predictor, weights: Path | None, device: str, options: LoadOptions
) -> Predictor:
    with user_code():
        predictor.load(weights, device)
    if options.dtype != "float32":
        forms.to_dtype(predictor, pick_dtype(options.dtype))
    if options.inputs is not None:
        predictor.inputs = list(options.inputs)
    return predictor


def _check_args(named: Any, ref: ModelRef, args: Mapping[str, Any]) -> None:
    """Raise ModelError, with the signature, when `args` do not fit; a call says it less well."""
    try:
        signature = inspect.signature(named)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**args)
    except TypeError as e:
        raise ModelError(
            f"{ref}{signature} does not take these model args: {e}; give them as --model-args "
            "'{\"name\": value}'"
        ) from e
