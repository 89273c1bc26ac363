"""Arithmetic on a device that gives the same bits every time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def same_bits(device: torch.device) -> Iterator[None]:
    """Kernels that add in one order where there are any, on a GPU; torch warns of those that do
    not. On the CPU all do."""
    if device.type != "cuda":
        yield
        return
    # cuBLAS reads it when it is first used (torch.use_deterministic_algorithms)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)
