"""Deltas of fewer bytes: rounded to bfloat16, or to 8-bit integers with a scale per chunk.

With error feedback (Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014, section 2;
Karimireddy et al., "Error Feedback Fixes SignSGD", arXiv 1901.09847, algorithm 2) what rounding
takes from a shard's delta is added to its next one. So for every shard the sum of what was sent in
rounds 1 to t is the sum of its deltas less one remainder, however many rounds there were.

A compressed delta is, little-endian: its kind (3 bytes), the rows that it is weighed by (uint64),
the count of its numbers n (uint64), for int8 ceil(n / 1024) scales (float32), and the numbers.
"""

from __future__ import annotations

import struct

import numpy as np
import torch

DTYPES = ("bfloat16", "int8")
# one scale for all would be that of the layer that moves most; 4 bytes in 1,024 cost nothing
CHUNK = 1024
_KINDS = {"bfloat16": b"bf2", "int8": b"i1c"}
_HEAD = struct.Struct("<3sQQ")
_LEVELS = 127


def is_compressed(value: bytes) -> bool:
    """Whether `value` is of `compress`."""
    return value[:3] in _KINDS.values()


def compress(delta: torch.Tensor, dtype: str, rows: int) -> bytes:
    """`delta` (any shape; float32 or float64, on the CPU) as ``bfloat16`` or ``int8``, with the
    `rows` that it is weighed by.

    bfloat16 keeps 8 significant bits of each number (an error of at most 2**-8 of it), rounded to
    nearest, ties to even. int8 is q = round(x / s) with s = max|x| / 127 over each chunk of 1,024
    numbers (an error of at most s / 2, and the rounding of float32). A number that is not finite
    makes its chunk, on the other side, NaN.
    """
    flat = delta.detach().reshape(-1).float()
    head = _HEAD.pack(_KINDS[dtype], rows, flat.numel())
    if dtype == "bfloat16":
        return head + flat.to(torch.bfloat16).view(torch.int16).numpy().astype("<i2").tobytes()
    chunks = _chunks(flat.numpy())
    scales = (np.abs(chunks).max(axis=1, initial=0) / np.float32(_LEVELS)).astype("<f4")
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.rint(chunks / scales[:, None])
    levels = np.nan_to_num(levels, nan=0.0).clip(-_LEVELS, _LEVELS).astype("i1")
    scales[~np.isfinite(scales)] = np.nan
    return b"".join((head, scales.tobytes(), levels.reshape(-1)[: flat.numel()].tobytes()))


def decompress(value: bytes) -> tuple[np.ndarray, int]:
    """(the numbers (n,) in float32, the rows) that `compress` made `value` of."""
    kind, rows, count = _HEAD.unpack_from(value)
    if kind == _KINDS["bfloat16"]:
        halves = np.frombuffer(value, "<u2", count, _HEAD.size)
        return (halves.astype("<u4") << 16).view("<f4"), rows
    scales = np.frombuffer(value, "<f4", -(-count // CHUNK), _HEAD.size)
    levels = np.frombuffer(value, "i1", count, _HEAD.size + scales.nbytes)
    return (_chunks(levels.astype("<f4")) * scales[:, None]).reshape(-1)[:count], rows


def feed_back(
    delta: torch.Tensor, remainder: torch.Tensor | None, dtype: str, rows: int
) -> tuple[bytes, torch.Tensor]:
    """(`delta` and the `remainder` of the round before, compressed; what that leaves for the next
    round: of `delta`'s shape, dtype and device). Without rows nothing is sent, and all is left."""
    whole = delta if remainder is None else delta + remainder.to(delta)
    value = compress(whole.cpu(), dtype, rows)
    sent = torch.from_numpy(decompress(value)[0]).reshape(whole.shape).to(whole)
    return value, whole - sent if rows else whole


def _chunks(flat: np.ndarray) -> np.ndarray:
    """`flat` (n,) as (ceil(n / 1024), 1024), with zeros at the end."""
    rows = -(-len(flat) // CHUNK)
    padded = np.zeros(rows * CHUNK, flat.dtype)
    padded[: len(flat)] = flat
    return padded.reshape(rows, CHUNK)
