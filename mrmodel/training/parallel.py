"""A model on a gang of processes: wrapped in DistributedDataParallel, or as its class shards it.

Li et al., "PyTorch Distributed" (VLDB 2020), describes the first; fully_shard (FSDP2) is what
classes most often do for the second, in Lightning's hook ``configure_model``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from mrmodel.models.importing import user_code
from mrmodel.models.weights import load_into
from mrmodel.training.module import Trainable

Loss = Callable[[Mapping[str, Any], int], torch.Tensor]


def configure(module: torch.nn.Module, device: torch.device) -> None:
    """Call the class's ``configure_model``, if it has one. Its ``device_mesh`` has the dimensions
    "data_parallel" (the world size) and "tensor_parallel" (1) then, as in Lightning."""
    hook = getattr(module, "configure_model", None)
    if not callable(hook):
        return
    shape, names = (dist.get_world_size(), 1), ("data_parallel", "tensor_parallel")
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    # a property without a setter in Lightning's base class
    is_lightning = hasattr(type(module), "device_mesh")
    setattr(module, "_device_mesh" if is_lightning else "device_mesh", mesh)
    with user_code("failed in configure_model"):
        hook()


def is_parallel(module: torch.nn.Module) -> bool:
    """Whether the class has spread itself over the gang."""
    sharded = any(isinstance(parameter, DTensor) for parameter in module.parameters())
    return sharded or any(isinstance(m, DistributedDataParallel) for m in module.modules())


def synchronised(trainable: Trainable) -> Loss:
    """The loss of `trainable`, after whose backward() every process has the mean gradient.

    Options for DistributedDataParallel may be in the class attribute ``ddp_options``, a dict.
    """
    if is_parallel(trainable.module):
        return trainable.loss
    options = getattr(trainable.module, "ddp_options", {})
    return DistributedDataParallel(_Step(trainable), **options)


def settle(loss: Loss, batch: Mapping[str, Any]) -> None:
    """Have the buckets of DistributedDataParallel in the order that they have after a first step.

    It begins with the reverse order of the parameters and goes over to that in which gradients
    came; where three or more processes add, the last bits depend on it. Training that goes on from
    a checkpoint has to begin with the latter. So a step is taken on `batch` that counts for
    nothing: gradients and buffers are as before.
    """
    if not isinstance(loss, DistributedDataParallel):
        return
    before = [buffer.clone() for buffer in loss.buffers()]
    loss(batch, 0).backward()
    loss.zero_grad()
    with torch.no_grad():
        for buffer, kept in zip(loss.buffers(), before, strict=True):
            buffer.copy_(kept)


class _Step(torch.nn.Module):
    """The loss as what a module computes: DistributedDataParallel looks at calls of modules."""

    def __init__(self, trainable: Trainable):
        super().__init__()
        self.module = trainable.module
        self._loss = trainable.loss

    def forward(self, batch: Mapping[str, Any], index: int) -> torch.Tensor:
        return self._loss(batch, index)


def load_weights(module: torch.nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Load the whole tensors `state`, of which each process keeps what is its part."""
    own = module.state_dict()
    load_into(module, {n: _like(value, own.get(n)) for n, value in state.items()}, source)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state that `whole` made."""
    optimizer.load_state_dict(state)
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                kept[name] = _like(value, parameter)


def whole(tree: Any, keep: bool) -> Any:
    """`tree` of dicts, lists and tensors with the parts of all processes put together, which all
    must call; where not `keep`, nothing is left of the tensors, so as not to fill the memory."""
    if isinstance(tree, DTensor):
        full = tree.full_tensor()
        return full.cpu() if keep else None
    if isinstance(tree, Mapping):
        return {key: whole(value, keep) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(whole(value, keep) for value in tree)
    return tree


def _like(value: torch.Tensor, example: Any) -> torch.Tensor:
    if not isinstance(example, DTensor) or isinstance(value, DTensor):
        return value
    # every process has the whole and takes its part: nothing to send
    value, mesh = value.to(example.device), example.device_mesh
    return distribute_tensor(value, mesh, example.placements, src_data_rank=None)
