"""A job as a value: what to run, on what, where to. Frozen, JSON-able; unknown keys are refused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mrmodel.errors import UsageError

T = TypeVar("T", bound="Spec")


@dataclass(frozen=True)
class Spec:
    """A value that travels as JSON."""

    @classmethod
    def from_dict(cls: type[T], data: dict[str, Any]) -> T:
        """Raises UsageError, naming the keys there are, for one that is not known."""
        fields = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(data) - fields)
        if unknown:
            raise UsageError(
                f"unknown key {', '.join(map(repr, unknown))}: expected one of "
                f"{', '.join(sorted(fields))}"
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ModelSpec(Spec):
    """MODEL and what belongs to it. `ref` is ``file.py:Name``, ``package.module:Name`` or a
    ``.pt2`` file; `args` are constructor arguments; `weights` a URI; `py_files` folders or files
    of Python code that the model imports; `quantize` is ``int8`` where its linear layers are to
    be rounded to that. With `dtype` ``auto`` the driver takes the fastest form in which no row's
    outputs differ by more than `tolerance` (see driver/trial.py); with `compile` its modules are
    made machine code before the job (see models/compiled.py)."""

    ref: str
    args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    py_files: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "float32"
    quantize: str | None = None
    tolerance: float = 0.02
    compile: bool = False


@dataclass(frozen=True)
class DataSpec(Spec):
    """INPUT: where the rows are and which columns matter. `inputs`: the columns the model reads
    (None: as the model says); `keep`: the columns joined to the output (None: all but the
    model's inputs); `types`: column → Arrow type for CSV and JSONL; `image_size`: (height, width)
    or None."""

    uris: tuple[str, ...]
    format: str = "auto"
    inputs: tuple[str, ...] | None = None
    keep: tuple[str, ...] | None = None
    types: dict[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class OutputSpec(Spec):
    """Where predictions go and when the job counts as good."""

    uri: str
    format: str = "parquet"
    max_bad: str = "0"
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True)
class TrainSpec(Spec):
    """How to train. `loss` and `label` are for modules without a training_step; `optimizer` None
    is the model's own; `clip` is the largest norm of a gradient; `early_stop` the rounds without a
    better validation loss after which training ends; `keep_last` the checkpoints that stay.
    `inner_steps` (per shard and round), `outer_lr` and `outer_momentum` are those of ``local``, of
    which a round goes on without its last shards where `min_shards` (a share, ``3/4``) have come;
    `delta_dtype` (``bfloat16``, ``int8``) is what their deltas are sent as, None: as they are;
    `gang_timeout` (seconds) is how long the workers of ``allreduce`` wait for each other."""

    sync: str = "gradient"
    rounds: int = 10
    batch_size: int = 1024
    label: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    lr: float | None = None
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    lr_schedule: str = "constant"
    clip: float | None = None
    seed: int = 0
    validation: tuple[str, ...] = ()
    early_stop: int | None = None
    keep_last: int | None = None
    inner_steps: int = 500
    outer_lr: float = 0.7
    outer_momentum: float = 0.9
    gang_timeout: float = 300.0
    min_shards: str | float | None = None
    delta_dtype: str | None = None


@dataclass(frozen=True)
class ExecutionSpec(Spec):
    """How and where tasks run. `shard_size`: bytes per task; ``auto`` is 128MB, or, on hadoop and
    where no training is, what keeps all containers busy to the end. `workers`: processes of the
    local runner (None: the cores), and of a gang on any runner; `threads`: torch threads per task
    (None: 1 on local; the container's vcores on hadoop and the cores inline, or fewer where these
    do as well); `prepare_workers`: processes of a task that run the model's ``prepare`` (0: a
    thread does); `memory`: bytes per container (None: estimated); `python`: the interpreter on the
    nodes; `env`: an archive with a Python environment for them; `batch_timeout`: seconds that one
    batch, or loading the model, may take; `mrjob_args`: further arguments for mrjob."""

    runner: str = "inline"
    batch_size: str = "auto"
    shard_size: str = "auto"
    workers: int | None = None
    threads: int | None = None
    prepare_workers: int = 0
    vcores: int = 1
    memory: str | None = None
    python: str | None = None
    env: str | None = None
    jobconf: dict[str, str] = field(default_factory=dict)
    batch_timeout: float = 1800.0
    mrjob_args: tuple[str, ...] = ()
