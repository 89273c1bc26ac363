"""``NAME[:k=v,...]``: which metric is meant, with which arguments."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mrmodel.errors import UsageError
from mrmodel.models import reference
from mrmodel.models.importing import import_object
from mrmodel.specs import Spec

# the package itself last: what it has of the others, it has with a warning
_MODULES = (".classification", ".regression", ".retrieval", ".text", ".nominal", ".clustering", "")
_COMMAS = re.compile(r",(?=\s*\w+\s*=)")


@dataclass(frozen=True)
class MetricSpec(Spec):
    """`name` as the user wrote it (a class of torchmetrics, or ``file.py:Name``), and `args`;
    `kind` names what is meant, where the name alone does not say it to tasks."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    kind: str | None = None

    @property
    def is_users(self) -> bool:
        """Whether it names the user's own code."""
        return ":" in self.name

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        pairs = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in self.args.items()]
        return f"{self.name}:{','.join(pairs)}" if pairs else self.name


def parse_metric(text: str) -> MetricSpec:
    """The metric that `text` names: ``accuracy:task=multiclass,num_classes=10``, or
    ``file.py:Name:k=v``. Raises UsageError where it is not of that form."""
    name, _, rest = text.partition(":")
    if "." in name or "/" in name:
        attribute, _, rest = rest.partition(":")
        name = f"{name}:{attribute}"
    if not name or name.endswith(":"):
        raise _malformed(text)
    pairs = [pair.partition("=") for pair in _COMMAS.split(rest)] if rest else []
    if any(not equals or not key.strip() for key, equals, _ in pairs):
        raise _malformed(text)
    return MetricSpec(name, {key.strip(): _value(value.strip()) for key, _, value in pairs})


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"--metric {text}: expected NAME or NAME:k=v,... such as "
        f"accuracy:task=multiclass,num_classes=10, or file.py:Name"
    )


def _value(text: str) -> Any:
    """A JSON value where it is one (10, 0.5, true, null, [1, 2]), else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def find_metric(spec: MetricSpec) -> Any:
    """The class (or the user's function) that `spec` names.

    Raises UsageError where torchmetrics has none of that name, or is not installed.
    """
    if spec.is_users:
        return import_object(reference.parse(spec.kind or spec.name))
    known = _classes()
    wanted = _plain(spec.kind or spec.name)
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3)
        meant = f"; did you mean {', '.join(known[n].__name__ for n in near)}?" if near else ""
        raise UsageError(
            f"--metric {spec.name}: expected a metric of torchmetrics, such as accuracy or "
            f"MeanSquaredError, or file.py:Name{meant}"
        )
    return known[wanted]


def _plain(name: str) -> str:
    """``mean_squared_error`` and ``MeanSquaredError`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def _classes() -> dict[str, type]:
    """The metrics of torchmetrics by their plain names."""
    base = _import("").Metric
    found: dict[str, type] = {}
    for module in map(_import, _MODULES):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name, None)
            if isinstance(value, type) and issubclass(value, base):
                found.setdefault(_plain(name), value)
    return found


def _import(module: str) -> Any:
    try:
        return import_module(f"torchmetrics{module}")
    except ImportError as error:
        raise UsageError(
            f"--metric needs torchmetrics ({error}): pip install torchmetrics, on the nodes too"
        ) from error
