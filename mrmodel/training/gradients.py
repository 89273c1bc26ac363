"""Sums of gradients as buckets of bytes, added up in one order whoever adds.

The summation form of Chu et al., "Map-Reduce for Machine Learning on Multicore" (NIPS 2006): the
gradient of a mean loss over all rows is the sum of what each shard's rows contribute, divided by
the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from mrmodel.errors import UsageError
from mrmodel.tensors.wire import group_of_bucket
from mrmodel.training.buckets import bucket_of, numbers_of

BUCKET_BYTES = 8 << 20
_DTYPES = {torch.float32: "<f4", torch.float64: "<f8"}


def parameters_of(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    """What is trained, in the order of the names."""
    named = sorted(module.named_parameters(), key=lambda item: item[0])
    return [parameter for _, parameter in named if parameter.requires_grad]


def buffers_of(module: torch.nn.Module) -> list[torch.Tensor]:
    """What changes without being trained (the running statistics of BatchNorm), in the order of
    the names: buffers of numbers that checkpoints hold."""
    state = module.state_dict(keep_vars=True)
    found = {id(value): value for _, value in sorted(state.items()) if _is_buffer(value)}
    return list(found.values())


def _is_buffer(value: Any) -> bool:
    is_tensor = isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)
    return is_tensor and value.dtype is not torch.bool and not value.is_complex()


class BufferWays:
    """How far the buffers of `module` go while it sees some rows."""

    def __init__(self, module: torch.nn.Module):
        self._module = module
        self._start = [buffer.clone() for buffer in buffers_of(module)]

    def take(self, rows: int) -> list[torch.Tensor]:
        """The ways in double precision, times `rows`; the buffers are as they were after that."""
        ways = []
        for buffer, start in zip(buffers_of(self._module), self._start, strict=True):
            ways.append((buffer.double() - start.double()) * rows)
            buffer.copy_(start)
        return ways


def gradient_buckets(
    module: torch.nn.Module,
    ways: Sequence[torch.Tensor] = (),
    packed: Sequence[bytes] | None = None,
) -> Iterator[tuple[bytes, bytes]]:
    """(group, value) for each bucket of the gradients that `module` has (zeros where it has none),
    or of what they are `packed` to, and of the `ways` of its buffers.

    A value is what `buckets.bucket_of` makes of the numbers, or `compression.compress`.
    """
    if packed is None:
        packed = [bucket_of(_DTYPES[one.dtype], one.numpy()) for one in flat_gradients(module)]
    # never compressed: they are few, and some of them count
    rest = [bucket_of(_DTYPES[one.dtype], one.numpy()) for one in _buckets(ways)]
    for number, value in enumerate([*packed, *rest]):
        yield group_of_bucket(number), value


def flat_gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    """The gradients that `module` has (zeros where it has none), a flat tensor on the CPU for each
    bucket."""
    return list(_buckets([_flat_gradient(parameter) for parameter in parameters_of(module)]))


def _buckets(flats: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    flats = [flat.reshape(-1) for flat in flats]
    for parts in _layout(flats):
        yield torch.cat([flats[i][begin:end] for i, begin, end in parts]).cpu()


def set_gradients(module: torch.nn.Module, sums: dict[bytes, bytes], rows: int) -> None:
    """Give `module` the mean gradient over `rows` rows, of which `sums` are the summed buckets, and
    move its buffers by the mean of their ways."""
    parameters, buffers = parameters_of(module), buffers_of(module)
    trained = [torch.zeros(one.numel(), dtype=one.dtype) for one in parameters]
    moves = [torch.zeros(one.numel(), dtype=torch.float64) for one in buffers]
    layout = [(means, parts) for means in (trained, moves) for parts in _layout(means)]
    for number, (means, parts) in enumerate(layout):
        flat = torch.from_numpy(numbers_of(sums[group_of_bucket(number)]).copy())
        flat = flat.double().div_(rows)
        at = 0
        for i, begin, end in parts:
            means[i][begin:end].copy_(flat[at : at + end - begin])
            at += end - begin
    for parameter, mean in zip(parameters, trained, strict=True):
        parameter.grad = mean.view(parameter.shape)
    for buffer, mean in zip(buffers, moves, strict=True):
        moved = buffer.double() + mean.view(buffer.shape)
        buffer.copy_(moved if buffer.is_floating_point() else moved.round())


def check_dtypes(module: torch.nn.Module) -> None:
    """Raise UsageError for parameters of which gradients cannot be added up exactly enough."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.dtype not in _DTYPES:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UsageError(
                f"parameter {name} is {kind}: --sync gradient adds float32 and float64 "
                f"(--dtype float32)"
            )


def bucket_count(module: torch.nn.Module) -> int:
    """How many buckets the gradients and the buffers of `module` make."""
    trained = [(one.dtype, one.numel()) for one in parameters_of(module)]
    moves = [(torch.float64, one.numel()) for one in buffers_of(module)]
    return sum(1 for sizes in (trained, moves) for _ in _layout(_empty(sizes)))


def _empty(sizes: Sequence[tuple[torch.dtype, int]]) -> list[torch.Tensor]:
    return [torch.empty(n, dtype=dtype, device="meta") for dtype, n in sizes]


def _layout(flats: Sequence[torch.Tensor]) -> Iterator[list[tuple[int, int, int]]]:
    """[(tensor, begin, end)] for each bucket: at most BUCKET_BYTES of one dtype."""
    for dtype in _DTYPES:
        own = [i for i, flat in enumerate(flats) if flat.dtype is dtype]
        size = BUCKET_BYTES // dtype.itemsize
        bounds = [0, *np.cumsum([flats[i].numel() for i in own], dtype=np.int64).tolist()]
        for first in range(0, bounds[-1], size):
            last = min(first + size, bounds[-1])
            yield [
                (i, max(first, begin) - begin, min(last, end) - begin)
                for i, (begin, end) in zip(own, pairwise(bounds), strict=True)
                if begin < last and end > first
            ]


def _flat_gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), dtype=parameter.dtype, device=parameter.device)
    return parameter.grad.detach().reshape(-1)
