"""Linear layers whose weights are laid out once for oneDNN's matrix product.

torch multiplies float32 matrices with MKL, which is slow on CPUs of other makers than Intel's. The
product that torch's own compiler takes when it freezes weights (torch/_inductor/fx_passes/
mkldnn_fusion.py) is there without compiling, and two to three times as fast on such CPUs. Sums are
taken in another order: outputs differ by rounding.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch

from mrmodel.models.forms import parts_of
from mrmodel.models.predictor import Predictor

DTYPES = (torch.float32, torch.bfloat16)
# multiplications of a call from which on the faster product makes up for being called: about 10 µs
WORTH = 1 << 20


def pack(predictor: Predictor) -> int:
    """Let the linear layers of `predictor` multiply by laid out weights, where that is faster on
    this machine; how many there are. Their own weights stay, for code that reads them."""
    if not is_faster_here():
        return 0
    packed = [layer for layer in parts_of(predictor) if _can_pack(layer)]
    for layer in packed:
        layer.forward = _Packed(layer, layer.forward)
    return len(packed)


@functools.cache
def is_faster_here() -> bool:
    """Whether this CPU is one on which MKL is the slower."""
    return torch.backends.mkldnn.is_available() and _maker() not in ("", "GenuineIntel")


def _maker() -> str:
    """Of an x86 CPU, its maker; empty for others, and where nothing says so."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            found = next((line for line in lines if line.startswith("vendor_id")), "")
    except OSError:
        return ""
    return found.partition(":")[2].strip()


def _can_pack(layer: torch.nn.Module) -> bool:
    """A layer that is nn.Linear itself: others may do something else with their weights."""
    if type(layer) is not torch.nn.Linear or "forward" in vars(layer):
        return False
    weight = layer.weight
    is_plain = weight.layout == torch.strided and not weight.is_inference()
    return (
        weight.device.type == "cpu" and weight.dtype in DTYPES and is_plain and weight.numel() > 0
    )


class _Packed:
    """In place of a layer's ``forward``."""

    def __init__(
        self, layer: torch.nn.Linear, plain: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        self._layer, self._plain = layer, plain
        self._each = layer.weight.numel()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self._of = _state(layer.weight)

    def __call__(self, input: torch.Tensor) -> torch.Tensor:
        layer = self._layer
        if not self._takes(input):
            return self._plain(input)
        if _state(layer.weight) != self._of:  # somebody has changed it
            layer.forward = self._plain
            return self._plain(input)
        return torch.ops.mkldnn._linear_pointwise(input, self._weight, layer.bias, "none", [], "")

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
        # laid out weights cannot be copied
        return copy.deepcopy(self._plain, memo)

    def _takes(self, input: torch.Tensor) -> bool:
        inside, outside = self._layer.in_features, self._each
        return (
            input.dim() > 1
            and input.shape[-1] == inside
            and input.numel() // inside * outside >= WORTH
            and input.dtype is self._layer.weight.dtype
            and input.device.type == "cpu"
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        )


def _state(weight: torch.Tensor) -> tuple[int, int]:
    """Another one after a change in place, and after ``load_state_dict`` or ``to``."""
    return weight.data_ptr(), weight._version
