"""The process of a gang's member that trains, and what its member sees of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mrmodel.errors import GangError, MrmodelError, ServiceError
from mrmodel.models.adapters import pick_device
from mrmodel.tasks import model as task_model
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.gang_training import GangTraining, Share
from mrmodel.tasks.network import interface_of
from mrmodel.tasks.pulse import Pulse, pulse_of
from mrmodel.tasks.rendezvous import Rendezvous
from mrmodel.tasks.reporter import Reporter, new_reporter
from mrmodel.tasks.row_cache import RowCache
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import GANG, Staging
from mrmodel.training.devices import same_bits

LOST = 75  # EX_TEMPFAIL: not this worker's fault; the gang tries again
_CONNECTING = timedelta(seconds=120)
# how gloo and NCCL say that another process is not there any more
_BROKEN = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


class Worker:
    """The process, from the side of the member that started it. It ends when its member does."""

    def __init__(self, words: dict[str, Any]):
        command = [sys.executable, "-m", "mrmodel.tasks.gang_worker"]
        # stdout is for reducers, of which there are none
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2)
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, negative when a signal killed it; None when it still runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


def train_here(words: dict[str, Any], pulse: Pulse, reporter: Reporter) -> None:
    """Train in this process, alone."""
    device = torch.device(pick_device(_wanted(words)))
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
    dist.init_process_group(**_backend(device), store=dist.HashStore(), rank=0, world_size=1)
    try:
        _train(words, device, pulse, reporter)
    finally:
        dist.destroy_process_group()


def main() -> None:
    """Train as the line on stdin says, with the others who were told the same."""
    words = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_member, name="member", daemon=True).start()
    spec = TaskSpec.from_dict(words["spec"])
    staging = Staging(spec.staging, spec.identity)
    context = TaskContext.from_environment(has_driver=spec.driver_pid is not None)
    reporter = new_reporter(spec, context)
    try:
        with pulse_of(spec, staging, words["attempt"], reporter) as pulse:
            device = _join(words, timedelta(seconds=spec.batch_timeout))
            _train(words, device, pulse, reporter)
        code = 0
    except Exception as error:  # noqa: BLE001
        code = _tell(error, staging, words["attempt"])
    sys.stdout.flush()
    sys.stderr.flush()
    # not by way of destructors: those of a broken gang wait for the others
    os._exit(code)


def _end_with_member() -> None:
    sys.stdin.buffer.read()
    os._exit(LOST)


def _join(words: dict[str, Any], patience: timedelta) -> torch.device:
    """Become a process of the gang; the device to train on."""
    host, port = words["address"]
    task_model.set_threads(words["threads"])
    interface = interface_of(words["own_address"])
    if interface:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    store = dist.TCPStore(host, port, is_master=False, timeout=_CONNECTING)
    rank, size = words["rank"], words["world_size"]
    device = torch.device("cpu")
    if _wanted(words) != "cpu":
        device = _agree(store, rank, size, must=_wanted(words) == "cuda")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        **_backend(device), store=store, rank=rank, world_size=size, timeout=patience
    )
    return device


def _wanted(words: dict[str, Any]) -> str:
    return TaskSpec.from_dict(words["spec"]).task_model.model.device


def _backend(device: torch.device) -> dict[str, Any]:
    if device.type == "cuda":
        return {"backend": "nccl", "device_id": device}
    return {"backend": "gloo"}


def _agree(store: dist.Store, rank: int, size: int, must: bool) -> torch.device:
    """The GPU of `rank`, where there is one for every rank; else the CPU, for all.

    Raises GangError instead where it `must` be a GPU.
    """
    own = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    store.set(f"gpus/{rank}", json.dumps(own))
    chosen = deal([json.loads(store.get(f"gpus/{other}")) for other in range(size)])
    if None not in chosen:
        return torch.device("cuda", own.index(chosen[rank]))
    if must:
        raise GangError(
            f"--device cuda: worker {chosen.index(None)} of {size} has no GPU of its own: use "
            f"fewer --workers, more GPUs, or --device auto, which trains on the CPU then"
        )
    return torch.device("cpu")


def deal(seen: list[list[str]]) -> list[str | None]:
    """The GPU of each rank, of which `seen` are those that it sees: one that no lower rank has,
    None where there is none. A node's GPUs may be seen by all of its tasks, or by one each."""
    chosen: list[str | None] = []
    for own in seen:
        chosen.append(next((gpu for gpu in own if gpu not in chosen), None))
    return chosen


def _train(words: dict[str, Any], device: torch.device, pulse: Pulse, reporter: Reporter) -> None:
    spec = TaskSpec.from_dict(words["spec"])
    staging = Staging(spec.staging, spec.identity)
    training = GangTraining(
        spec, _share(words["rows"]), _share(words["validation"]), device, reporter, pulse.beat
    )

    def save(write: Callable[[], None]) -> None:
        staging.check_ours()
        write()

    with same_bits(device):
        training.run(save)
    if words["rank"] == 0:
        Rendezvous(staging.folder(GANG), 0, words["attempt"]).finish()
    dist.barrier()
    reporter.flush()


def _share(told: dict[str, Any] | None) -> Share | None:
    return Share(RowCache(Path(told["path"])), told["bad"]) if told else None


def _tell(error: Exception, staging: Staging, attempt: str) -> int:
    """The exit code for `error`, of which the job learns where it is this worker's."""
    traceback.print_exc()
    if is_lost(error):
        return LOST
    detail = error.detail if isinstance(error, MrmodelError) else traceback.format_exc()
    staging.report_error(attempt, error, detail, final=True)
    return 1


def is_lost(error: BaseException) -> bool:
    """Whether `error` comes of others: of a process of the gang that is gone, or of storage."""
    if isinstance(error, OSError | ServiceError):
        return True
    return any(
        isinstance(one, dist.DistError)
        or (isinstance(one, RuntimeError) and any(word in str(one) for word in _BROKEN))
        for one in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main()
