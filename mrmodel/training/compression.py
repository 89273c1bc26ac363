"""Deltas of fewer bytes: rounded to bfloat16, or to 8-bit integers with a scale per chunk.

With error feedback (Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014, section 2;
Karimireddy et al., "Error Feedback Fixes SignSGD", arXiv 1901.09847, algorithm 2) what rounding
takes from a shard's delta is added to its next one. So for every shard the sum of what was sent in
rounds 1 to t is the sum of its deltas less one remainder, however many rounds there were.
"""

from __future__ import annotations

import numpy as np
import torch

from mrmodel.training.buckets import HEAD, KINDS, chunked, decompress

DTYPES = tuple(KINDS)
_LEVELS = 127


def compress(delta: torch.Tensor, dtype: str, rows: int) -> bytes:
    """`delta` (any shape; float32 or float64, on the CPU) as ``bfloat16`` or ``int8``, with the
    `rows` that it is weighed by.

    bfloat16 keeps 8 significant bits of each number (an error of at most 2**-8 of it), rounded to
    nearest, ties to even. int8 is q = round(x / s) with s = max|x| / 127 over each chunk of 1,024
    numbers (an error of at most s / 2, and the rounding of float32). A number that is not finite
    makes its chunk, on the other side, NaN.
    """
    flat = delta.detach().reshape(-1).float()
    head = HEAD.pack(KINDS[dtype], rows, flat.numel())
    if dtype == "bfloat16":
        return head + flat.to(torch.bfloat16).view(torch.int16).numpy().astype("<i2").tobytes()
    chunks = chunked(flat.numpy())
    scales = (np.abs(chunks).max(axis=1, initial=0) / np.float32(_LEVELS)).astype("<f4")
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.rint(chunks / scales[:, None])
    levels = np.nan_to_num(levels, nan=0.0).clip(-_LEVELS, _LEVELS).astype("i1")
    scales[~np.isfinite(scales)] = np.nan
    return b"".join((head, scales.tobytes(), levels.reshape(-1)[: flat.numel()].tobytes()))


def feed_back(
    delta: torch.Tensor, remainder: torch.Tensor | None, dtype: str, rows: int
) -> tuple[bytes, torch.Tensor]:
    """(`delta` and the `remainder` of the round before, compressed; what that leaves for the next
    round: of `delta`'s shape, dtype and device). Without rows nothing is sent, and all is left."""
    whole = delta if remainder is None else delta + remainder.to(delta)
    value = compress(whole.cpu(), dtype, rows)
    sent = torch.from_numpy(decompress(value)[0]).reshape(whole.shape).to(whole)
    return value, whole - sent if rows else whole
