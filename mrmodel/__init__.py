"""Run any PyTorch model as MapReduce jobs, over data where it lies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mrmodel.models.predictor import Predictor
from mrmodel.version import __version__

__all__ = ["Predictor", "__version__", "evaluate", "predict", "train"]

# what needs torch and mrjob is imported when it is asked for: nodes and --help do without
_LATER = {"evaluate": "mrmodel.api", "predict": "mrmodel.api", "train": "mrmodel.api"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
