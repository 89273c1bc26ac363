"""Deltas of fewer bytes: how much is lost, that it comes back, and what is not finite."""

import numpy as np
import pytest
import torch

from mrmodel.training.buckets import CHUNK, decompress
from mrmodel.training.buckets import is_compressed as is_ours
from mrmodel.training.compression import DTYPES, compress, feed_back

SIZES = {"none": 0, "one": 1, "a chunk": CHUNK, "more": 2 * CHUNK + 5}


def random(size, dtype=torch.float32, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=dtype) * scale


def bound(x, dtype):
    """The largest error of each number that the docstring allows."""
    if dtype == "bfloat16":
        return x.abs().double() * 2.0**-8
    parts = [part.abs().max().double().expand(len(part)) for part in x.split(CHUNK) if len(part)]
    return torch.cat(parts) / 127 * (0.5 + 1e-4) if parts else x.double()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_errors_are_bounded(dtype, size, scale):
    x = random(SIZES[size], scale=scale)
    value = compress(x, dtype, 7)
    found, rows = decompress(value)
    assert is_ours(value) and rows == 7 and found.dtype == np.float32 and len(found) == len(x)
    error = (torch.from_numpy(found).double() - x.double()).abs()
    assert (error <= bound(x, dtype)).all()


@pytest.mark.parametrize(("dtype", "nbytes"), [("bfloat16", 2), ("int8", 1)])
def test_bytes(dtype, nbytes):
    value = compress(random((100, 1000)), dtype, 1)
    assert 1e5 * nbytes < len(value) <= 1.05 * 1e5 * nbytes


def test_what_bfloat16_and_integers_hold_is_not_changed():
    halves = random(3000).to(torch.bfloat16).float()
    np.testing.assert_array_equal(decompress(compress(halves, "bfloat16", 1))[0], halves)
    levels = torch.arange(-127, 128).float()
    np.testing.assert_array_equal(decompress(compress(levels, "int8", 1))[0], levels)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_and_double_precision(dtype):
    zeros = torch.zeros(CHUNK + 1, dtype=torch.float64)
    assert not decompress(compress(zeros, dtype, 1))[0].any()
    x = random(CHUNK, torch.float64)
    assert compress(x, dtype, 1) == compress(x.float(), dtype, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(dtype, bad):
    x = random(2 * CHUNK)
    x[5] = bad
    found = decompress(compress(x, dtype, 1))[0]
    assert not np.isfinite(found[5])
    assert np.isfinite(found[CHUNK:]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_lost_is_sent_later(dtype):
    """The sum over rounds is right but for one remainder, and no larger for more rounds."""
    deltas = [random(2 * CHUNK, torch.float64, 1e-3, seed) for seed in range(50)]
    remainder, sent = None, torch.zeros(2 * CHUNK, dtype=torch.float64)
    for delta in deltas:
        value, remainder = feed_back(delta, remainder, dtype, 3)
        sent += torch.from_numpy(decompress(value)[0]).double()
    torch.testing.assert_close(sent + remainder, sum(deltas), rtol=1e-12, atol=1e-15)
    assert (remainder.abs() <= bound(deltas[-1], dtype).max() * 2).all()
    without = sum(torch.from_numpy(decompress(compress(d, dtype, 3))[0]).double() for d in deltas)
    assert (without - sum(deltas)).norm() > 3 * remainder.norm()


def test_without_rows_all_is_left():
    delta, before = random(5), random(5, seed=1)
    _, left = feed_back(delta, before, "int8", 0)
    assert torch.equal(left, delta + before)
