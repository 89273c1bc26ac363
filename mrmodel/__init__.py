"""Run any PyTorch model as MapReduce jobs, over data where it lies."""

from mrmodel.models.predictor import Predictor
from mrmodel.version import __version__

__all__ = ["Predictor", "__version__"]
