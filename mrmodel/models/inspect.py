"""What a model is, by loading it: `mrmodel model inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mrmodel.models import code, reference
from mrmodel.models.adapters import LoadOptions, weights_path
from mrmodel.models.exported import ExportedAdapter, load_exported
from mrmodel.models.importing import import_object, user_code
from mrmodel.models.loading import build_late, construct, has_predict_step
from mrmodel.models.predictor import Predictor
from mrmodel.models.weights import hash_weights, load_into, read_state_dict, resolve_weights
from mrmodel.units import format_size


@dataclass(frozen=True)
class ModelInspection:
    """What `inspect_model` learned.

    `kind`: Predictor, nn.Module, Lightning or torch.export. `inputs`: the columns it names, None
    when --inputs must; `expects`: them, and shapes where they are known, in words. `dtypes`:
    dtype → number of parameters. `nbytes` counts parameters and buffers. `sha256` is that of the
    weights, the .pt2 file, or the code where there are no weights. `weights`: None without
    --weights, else "match"; weights that do not match are an error.
    """

    ref: str
    kind: str
    parameters: int
    trainable: int
    dtypes: dict[str, int]
    nbytes: int
    inputs: list[str] | None
    expects: str
    batch_size: int | None
    weights: str | None
    weights_bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        """A table for people, a line for each thing known."""
        dtypes = ", ".join(f"{name} {count:,}" for name, count in self.dtypes.items())
        rows = [
            ("model", self.ref),
            ("kind", self.kind),
            ("parameters", f"{self.parameters:,} ({self.trainable:,} trainable)"),
            ("dtypes", dtypes or "none"),
            ("size", format_size(self.nbytes)),
            ("expects", self.expects),
            ("batch size", "any" if self.batch_size is None else f"{self.batch_size}, fixed"),
            ("weights", self._weights()),
            ("sha256", self.sha256),
        ]
        return "\n".join(f"{name:<11} {value}" for name, value in rows)

    def _weights(self) -> str:
        if self.weights is None:
            return "none given"
        return f"{self.weights} ({format_size(self.weights_bytes)})"


def inspect_model(
    ref: str, *, weights: str | None = None, model_args: Mapping[str, Any] | None = None
) -> ModelInspection:
    """Load `ref` on the CPU, as a task would, and describe it. Raises ModelError as loading does;
    nothing is predicted."""
    parsed = reference.parse(ref)
    reference.check(parsed)
    path = weights_path(weights)
    model = _load(parsed, path, model_args or {})
    module = _module_of(model)
    parameters = list(module.parameters())
    tensors = [*parameters, *module.buffers()]
    return ModelInspection(
        ref=ref,
        kind=_kind(model),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        dtypes=_dtypes(parameters),
        nbytes=sum(t.numel() * t.element_size() for t in tensors),
        inputs=_inputs(model),
        expects=_expects(model),
        batch_size=getattr(model, "batch_size", None),
        weights=None if path is None else _match(model),
        weights_bytes=0 if path is None else resolve_weights(path).nbytes,
        sha256=_hash(parsed, path),
    )


def _load(ref: reference.ModelRef, weights: Path | None, args: Mapping[str, Any]) -> Any:
    if ref.kind == "pt2":
        return load_exported(Path(ref.source), LoadOptions(args, weights, "cpu"))
    model = construct(import_object(ref), ref, args)
    if isinstance(model, Predictor):
        with user_code():
            model.load(weights, "cpu")
        return model
    with user_code():
        build_late(model)
    if weights is not None:
        state = read_state_dict(weights)
        with user_code():
            load_into(model, state, weights)
    return model


def _module_of(model: Any) -> torch.nn.Module:
    """The nn.Module in `model`; that of a Predictor is whatever it keeps in its attributes."""
    if isinstance(model, ExportedAdapter):
        return model.module
    if isinstance(model, torch.nn.Module):
        return model
    return torch.nn.ModuleList(v for v in vars(model).values() if isinstance(v, torch.nn.Module))


def _kind(model: Any) -> str:
    if isinstance(model, ExportedAdapter):
        return "torch.export"
    if isinstance(model, Predictor):
        return "Predictor"
    return "Lightning" if has_predict_step(type(model)) else "nn.Module"


def _dtypes(parameters: list[torch.nn.Parameter]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for parameter in parameters:
        counts[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return dict(counts.most_common())


def _inputs(model: Any) -> list[str] | None:
    return list(model.inputs) if getattr(model, "inputs", None) else None


def _expects(model: Any) -> str:
    if isinstance(model, ExportedAdapter):
        return "; ".join(
            f"{e.name} {str(e.dtype).removeprefix('torch.')} {_shape(e.shape)}"
            for e in model.expected
        )
    if isinstance(model, Predictor):
        return f"columns {', '.join(model.inputs)}" if model.inputs else "all columns"
    if has_predict_step(type(model)):
        return "a dict of column → tensor (--inputs to name the columns)"
    return "one tensor of the columns named with --inputs"


def _shape(shape: tuple[int | None, ...]) -> str:
    sizes = ["rows" if i == 0 else "?" if s is None else str(s) for i, s in enumerate(shape)]
    return f"({', '.join(sizes)})"


def _match(model: Any) -> str:
    own = isinstance(model, Predictor) and not isinstance(model, ExportedAdapter)
    return "read by the Predictor" if own else "match"


def _hash(ref: reference.ModelRef, weights: Path | None) -> str:
    if weights is not None:
        return hash_weights(weights)
    return hash_weights(ref.source) if ref.kind == "pt2" else code.collect(ref).sha256
