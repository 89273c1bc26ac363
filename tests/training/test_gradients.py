"""Buckets: bytes there and back, and sums that do not depend on who adds."""

import numpy as np
import pytest
import torch

from mrmodel.errors import UsageError
from mrmodel.tensors.wire import group_of_bucket
from mrmodel.training import gradients
from mrmodel.training.buckets import TALLY, Tally, add_up
from mrmodel.training.gradients import (
    bucket_count,
    check_dtypes,
    gradient_buckets,
    set_gradients,
)


class Mixed(torch.nn.Module):
    """Parameters of two dtypes, one frozen, one that no loss reaches."""

    def __init__(self):
        super().__init__()
        self.b = torch.nn.Parameter(torch.zeros(7, 5))
        self.a = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
        self.unused = torch.nn.Parameter(torch.zeros(4))


def filled(seed):
    module, generator = Mixed(), torch.Generator().manual_seed(seed)
    module.a.grad = torch.randn(3, generator=generator, dtype=torch.float64)
    module.b.grad = torch.randn(5, 7, generator=generator).T  # not contiguous
    return module


@pytest.mark.parametrize("size", [8, 40, 1 << 20])
def test_gradients_there_and_back(monkeypatch, size):
    monkeypatch.setattr(gradients, "BUCKET_BYTES", size)
    module, other = filled(1), Mixed()
    buckets = dict(gradient_buckets(module))
    assert len(buckets) == bucket_count(module)
    assert max(len(value) - 3 for value in buckets.values()) <= size
    set_gradients(other, buckets, rows=1)
    assert torch.equal(other.a.grad, module.a.grad)
    assert torch.equal(other.b.grad, module.b.grad)
    assert torch.equal(other.unused.grad, torch.zeros(4))
    assert other.frozen.grad is None


def test_the_mean_of_what_shards_contribute():
    one, two, module = filled(1), filled(2), Mixed()
    pairs = zip(gradient_buckets(one), gradient_buckets(two), strict=True)
    sums = {group: add_up([a, b]) for (group, a), (_, b) in pairs}
    set_gradients(module, sums, rows=8)
    torch.testing.assert_close(module.b.grad, (one.b.grad + two.b.grad) / 8)
    torch.testing.assert_close(module.a.grad, (one.a.grad + two.a.grad) / 8, rtol=1e-15, atol=0)


def test_the_bytes_of_a_bucket():
    value = b"<f4" + np.array([1.5, -2.0], "<f4").tobytes()
    assert add_up([value, value]) == b"<f4" + np.array([3.0, -4.0], "<f4").tobytes()
    assert group_of_bucket(258) == bytes(14) + b"\x01\x02"
    assert group_of_bucket(10**9) < TALLY


def test_sums_are_taken_in_double_precision():
    """One and 10,000 numbers that float32 would lose one by one."""
    values = [b"<f4" + np.array([1.0 if n == 0 else 2e-8], "<f4").tobytes() for n in range(10_001)]
    total = np.frombuffer(add_up(values)[3:], "<f4")[0]
    assert total == np.float32(1.0002)


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_sums_to_the_last_bit(kind):
    """As Python's own doubles are added one by one, in the order of the shards."""
    random = np.random.default_rng(3)
    shards = random.normal(size=(5, 1001)) * 10.0 ** random.integers(-30, 9, (5, 1001))
    shards = shards.astype(kind)
    shards[:, 0], shards[:, 1], shards[:, 2] = -0.0, np.inf, 1e-45
    values = [kind.encode() + shard.tobytes() for shard in shards]
    expected = np.array([sum_of(column) for column in shards.T.tolist()]).astype(kind)
    assert add_up(values) == kind.encode() + expected.tobytes()
    assert add_up(values[:1]) == values[0]


def sum_of(numbers):
    total = numbers[0]
    for number in numbers[1:]:
        total += number
    return total


def test_tallies_add_up():
    both = Tally(3, 1.5, 1), Tally(4, 0.25)
    assert Tally.from_bytes(add_up(tally.to_bytes() for tally in both)) == Tally(7, 1.75, 1)


def test_half_precision_is_refused():
    module = torch.nn.Linear(2, 1).to(torch.bfloat16)
    with pytest.raises(UsageError, match="parameter weight is bfloat16: .*--dtype float32"):
        check_dtypes(module)
