"""Convolutions over images, with the channels of a pixel side by side.

oneDNN convolves such images up to twice as fast as those that have one channel after the other, and
weights that lie so make it deliver images that do. Values are the same up to rounding, shapes too;
only ``Tensor.view`` sees a difference, where it would have to copy.
"""

from __future__ import annotations

from weakref import WeakSet

import torch

from mrmodel.models.forms import parts_of
from mrmodel.models.predictor import Predictor

KINDS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
DTYPES = (torch.float32, torch.bfloat16)
_VIEW_FAILED = "view size is not compatible with input tensor's size and stride"

_laid_out: WeakSet[torch.nn.Module] = WeakSet()


def lay_out(predictor: Predictor) -> int:
    """Let the convolutions of `predictor` that are on the CPU deliver channels side by side; how
    many there are."""
    if not torch.backends.mkldnn.is_available():
        return 0
    chosen = [layer for layer in parts_of(predictor) if _can_lay_out(layer)]
    for layer in chosen:
        layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    _laid_out.update(chosen)
    return len(chosen)


def put_back(error: BaseException) -> bool:
    """Whether `error` is one that only comes of `lay_out`: convolutions are as they were then, and
    the batch has to be prepared and predicted again."""
    if not _laid_out or _VIEW_FAILED not in str(error):
        return False
    for layer in list(_laid_out):
        layer.weight.data = layer.weight.data.contiguous()
    _laid_out.clear()
    return True


def _can_lay_out(layer: torch.nn.Module) -> bool:
    """A convolution itself: others may do something else with their weights."""
    if type(layer) not in KINDS or "weight" not in layer._parameters:
        return False
    weight = layer.weight
    return weight.device.type == "cpu" and weight.dtype in DTYPES and not weight.is_inference()
