"""From the name of a metric to an object that takes predictions and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mrmodel.errors import UsageError
from mrmodel.metrics.names import MetricSpec, find_metric

_TASKS = "task=binary, task=multiclass,num_classes=N or task=multilabel,num_labels=N"


def build(spec: MetricSpec) -> Any:
    """A fresh metric, ready for ``update(predictions, labels)``.

    Raises UsageError for arguments that it does not take, and for a metric whose states cannot be
    merged exactly.
    """
    found = find_metric(spec)
    import torchmetrics

    if isinstance(found, type) and issubclass(found, torchmetrics.Metric) or _has_tasks(found):
        return _mergeable(spec, _construct(spec, found))
    if isinstance(found, type) or not callable(found):
        raise UsageError(
            f"--metric {spec.name}: expected a torchmetrics.Metric class, or a function of "
            f"(predictions, labels) that returns a number per row, but received {found!r}"
        )
    return mean_of(found, spec)


def check(spec: MetricSpec) -> None:
    """Raise UsageError, before anything runs, for what `build` would refuse as far as that can be
    told without predictions."""
    found = find_metric(spec)
    if not (_has_tasks(found) and "task" not in spec.args):
        build(spec)


def completed(spec: MetricSpec, predictions: Any) -> MetricSpec:
    """`spec` with what its predictions tell of it, where the user left it out: the task, by their
    shape and type, and the number of classes, by their columns.

    The same for every batch of a job, so that all shards count the same thing.
    """
    if spec.is_users or "task" in spec.args or not _has_tasks(find_metric(spec)):
        return spec
    if predictions.ndim == 2:
        args = {"task": "multiclass", "num_classes": predictions.shape[1], **spec.args}
    elif predictions.is_floating_point():
        args = {"task": "binary", **spec.args}
    elif _plain_accuracy(spec):
        args = {"num_classes": None, "average": "micro"}
        return MetricSpec(spec.name, args, "MulticlassAccuracy")
    else:
        raise UsageError(
            f"--metric {spec.name}: predictions are whole numbers, which do not tell how many "
            f"classes there are: expected one of {_TASKS}; for example "
            f"{spec.name}:task=multiclass,num_classes=10"
        )
    return MetricSpec(spec.name, args)


def _plain_accuracy(spec: MetricSpec) -> bool:
    """The share of equal numbers needs no number of classes."""
    return find_metric(spec).__name__ == "Accuracy" and not spec.args


def _has_tasks(found: Any) -> bool:
    """Whether `found` is one of torchmetrics' classes that only choose another by ``task``."""
    return isinstance(found, type) and any(
        base.__name__ == "_ClassificationTaskWrapper" for base in found.__mro__
    )


def _construct(spec: MetricSpec, found: Any) -> Any:
    try:
        return found(**spec.args)
    except (TypeError, ValueError) as error:
        hint = f"; give {_TASKS}" if _has_tasks(found) and "task" not in spec.args else ""
        raise UsageError(f"--metric {spec.text}: {error}{hint}") from error


def _mergeable(spec: MetricSpec, metric: Any) -> Any:
    """`metric`. Raises UsageError where merging its states would not give what all rows give."""
    means = [
        name
        for name, reduction in metric._reductions.items()
        if getattr(reduction, "__name__", "") == "dim_zero_mean"
    ]
    if means or not metric._reductions:
        why = f"its state {means[0]} is a mean without a weight" if means else "it has no state"
        raise UsageError(f"--metric {spec.name}: cannot be merged over shards exactly: {why}")
    return metric


def mean_of(function: Callable[[Any, Any], Any], spec: MetricSpec) -> Any:
    """The mean over rows of what `function` returns for each, as a metric."""
    import torchmetrics

    class MeanOf(torchmetrics.Metric):
        full_state_update = False

        def __init__(self) -> None:
            super().__init__()
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state("total", zero.clone(), dist_reduce_fx="sum")
            self.add_state("rows", zero.clone(), dist_reduce_fx="sum")

        def update(self, predictions: Any, labels: Any) -> None:
            values = torch.as_tensor(function(predictions, labels, **spec.args))
            if values.shape != (len(labels),):
                raise ValueError(
                    f"expected a number for each of {len(labels)} rows but received shape "
                    f"{tuple(values.shape)}"
                )
            self.total += values.double().sum()
            self.rows += len(labels)

        def compute(self) -> torch.Tensor:
            return self.total / self.rows

    return MeanOf()
