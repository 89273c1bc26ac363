"""What a step needs beside a gradient: optimiser, learning-rate schedule, clipping."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from mrmodel.errors import UsageError
from mrmodel.training.module import Trainable

_SCHEDULES = ("constant", "cosine", "linear")


def _optimizers() -> dict[str, type]:
    found = vars(torch.optim)
    kinds = {n: k for n, k in found.items() if isinstance(k, type)}
    return {
        name.lower(): kind
        for name, kind in kinds.items()
        if issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
    }


def make_optimizer(
    trainable: Trainable, name: str | None, lr: float | None, args: dict[str, Any]
) -> tuple[torch.optim.Optimizer, Any]:
    """The optimiser (and the scheduler, or None) for `trainable`: as `name` says, or as the model's
    own configure_optimizers. Raises UsageError for one that there is not."""
    own = trainable.optimizer() if name is None else None
    if own is not None:
        return _configured(own)
    known = _optimizers()
    kind = known.get((name or "sgd").lower())
    if kind is None:
        raise UsageError(f"--optimizer {name}: expected one of {', '.join(sorted(known))}")
    options = {**args, **({"lr": lr} if lr is not None else {})}
    if kind is torch.optim.LBFGS:
        options = {"line_search_fn": "strong_wolfe", **options}
    elif "lr" not in options and inspect.signature(kind).parameters["lr"].default is None:
        raise UsageError(f"--optimizer {name}: expected a learning rate: --lr X")
    try:
        return kind(trainable.module.parameters(), **options), None
    except (TypeError, ValueError) as error:
        raise UsageError(f"--optimizer {name or 'sgd'}: {error}") from error


def _configured(own: Any) -> tuple[torch.optim.Optimizer, Any]:
    """What configure_optimizers returned, in the forms that Lightning takes."""
    scheduler = None
    if isinstance(own, dict):
        own, scheduler = own["optimizer"], own.get("lr_scheduler")
    elif isinstance(own, tuple) and len(own) == 2 and isinstance(own[0], list | tuple):
        own, schedulers = own
        scheduler = schedulers[0] if schedulers else None
    if isinstance(own, list | tuple) and len(own) == 1:
        own = own[0]
    if not isinstance(own, torch.optim.Optimizer):
        raise UsageError(
            f"configure_optimizers returned {type(own).__name__}: expected one optimiser, alone or "
            f"with a schedule"
        )
    return own, scheduler["scheduler"] if isinstance(scheduler, dict) else scheduler


def outer_optimizer(trainable: Trainable, lr: float, momentum: float) -> torch.optim.Optimizer:
    """What takes the step of a round of local training: SGD with Nesterov momentum, as in DiLoCo
    (Douillard et al., arXiv 2311.08105, algorithm 1)."""
    parameters = trainable.module.parameters()
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=momentum > 0)


def make_schedule(name: str, optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """The learning-rate schedule called `name` over `steps` steps, None for a constant rate."""
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    if name == "linear":
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    if name != "constant":
        raise UsageError(f"--lr-schedule {name}: expected one of {', '.join(_SCHEDULES)}")
    return None


def clip(parameters: Any, most: float | None) -> float:
    """Scale the gradients of `parameters` down to the norm `most`; the norm they had."""
    limit = most if most is not None else float("inf")
    norm = torch.nn.utils.clip_grad_norm_(list(parameters), limit)
    # a DTensor, where parameters are sharded; to import its name takes a second
    whole = getattr(norm, "full_tensor", None)
    return float(whole() if whole else norm)
