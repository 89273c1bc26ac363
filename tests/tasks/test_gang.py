"""What a gang makes of shares, and of errors."""

import socket

import pytest
import torch.distributed as dist

from mrmodel.errors import JobError, ModelError, ServiceError
from mrmodel.tasks.gang_training import shares_of
from mrmodel.tasks.gang_worker import deal, is_lost
from mrmodel.tasks.network import interface_of, own_address


@pytest.mark.parametrize(
    ("rows", "steps", "size", "shares"),
    [
        (10, 3, 4, [4, 4, 2]),
        (12, 3, 4, [4, 4, 4]),
        (9, 3, 4, [4, 4, 1]),
        (8, 3, 4, [2, 3, 3]),
        (1, 3, 4, [0, 0, 1]),
        (0, 2, 4, [0, 0]),
    ],
)
def test_shares(rows, steps, size, shares):
    assert shares_of(rows, steps, size) == shares


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[/x/gloo/transport/tcp/pair.cc:5] Connection closed by peer"), True),
        (caused(ModelError("failed in training_step"), RuntimeError("gloo: timed out")), True),
        (dist.DistBackendError("NCCL communicator was aborted"), True),
        (OSError("no HDFS"), True),
        (ServiceError("no HDFS"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (caused(ModelError("failed in training_step"), FileNotFoundError("x")), False),
        (JobError("the loss is nan"), False),
    ],
)
def test_whose_fault_it_is(error, lost):
    assert is_lost(error) == lost


@pytest.mark.parametrize(
    ("seen", "dealt"),
    [
        ([["a", "b"], ["a", "b"]], ["a", "b"]),
        ([["a"], ["b"]], ["a", "b"]),
        ([["a", "b"], ["c"], ["a", "b"]], ["a", "c", "b"]),
        ([["a"], ["a"]], ["a", None]),
        ([["a"], []], ["a", None]),
    ],
)
def test_every_rank_has_a_gpu_of_its_own(seen, dealt):
    assert deal(seen) == dealt


def test_addresses():
    assert own_address("/tmp/x") == "127.0.0.1"
    assert own_address("hdfs://127.0.0.1:8020/x") == "127.0.0.1"
    assert interface_of("127.0.0.1").startswith("lo")
    assert interface_of("192.0.2.77") is None
    # a name for several NameNodes is no host
    assert own_address("hdfs://nameservice.invalid/x") == socket.gethostbyname(socket.gethostname())
