"""What a task is told: one JSON file, the same for every task of a job. No secrets in it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mrmodel.specs import ModelSpec, Spec


@dataclass(frozen=True)
class TaskModel(Spec):
    """The model as tasks find it. `spec.ref` is as the user gave it (a file's path is absolute
    where tasks share the driver's files); with `shipped`, code lies in ``code.zip`` and weights
    under `weights_links` (file name in the weights folder → name in the working folder). Of a
    model of several, `place` is the folder in ``code.zip`` that is its own. `compiled` are the
    files of --compile: name → path, or name in the working folder."""

    spec: dict[str, Any]
    sha256: str
    weights: str | None = None
    weights_is_folder: bool = False
    weights_links: dict[str, str] = field(default_factory=dict)
    shipped: bool = False
    place: str = ""
    compiled: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> ModelSpec:
        return ModelSpec.from_dict(self.spec)


@dataclass(frozen=True)
class TaskMember(Spec):
    """A model of an ensemble: `model` is a `TaskModel`, `name` what people call it, `inputs` the
    columns that it says it reads (None: it does not say, or --inputs does)."""

    model: dict[str, Any]
    name: str
    inputs: tuple[str, ...] | None = None

    @property
    def task_model(self) -> TaskModel:
        return TaskModel.from_dict(self.model)


@dataclass(frozen=True)
class TaskEnsemble(Spec):
    """Models that predict the same rows: `TaskMember`s as dicts. `aggregate` makes one prediction
    of theirs; None leaves them side by side."""

    members: tuple[dict[str, Any], ...]
    aggregate: str | None = None

    @property
    def task_members(self) -> list[TaskMember]:
        return [TaskMember.from_dict(member) for member in self.members]


@dataclass(frozen=True)
class TaskData(Spec):
    """What to read. `schema` is an Arrow schema, serialised; `inputs` None means all columns."""

    format: str
    schema: str
    inputs: tuple[str, ...] | None
    keep: tuple[str, ...]
    image_size: tuple[int, int] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns for the model, by name."""
        return list(self.inputs if self.inputs is not None else self.arrow_schema.names)

    @property
    def arrow_schema(self) -> pa.Schema:
        return decode_schema(self.schema)


@dataclass(frozen=True)
class Evaluation(Spec):
    """What to measure. `metrics` are `MetricSpec`s as dicts; `prediction` names the output of the
    model that is held against the column `label` (None: its only one); `indexes` the column that
    retrieval metrics take; `resamples` is the bootstrap's number of them, of ``rows`` or of whole
    ``shards`` as `resample` says."""

    metrics: tuple[dict[str, Any], ...]
    label: str
    prediction: str | None = None
    group_by: str | None = None
    indexes: str | None = None
    resamples: int = 0
    seed: int = 0
    resample: str = "rows"


@dataclass(frozen=True)
class Grouping(Spec):
    """Rows with one value in the column `by` become one row, as `aggregate` says; groups travel in
    `buckets`, of each of which a part file is made. A row has predictions of so many `models`."""

    by: str
    aggregate: str
    buckets: int = 1
    models: int = 1


@dataclass(frozen=True)
class LocalSteps(Spec):
    """Steps that a task takes by itself on each shard, `steps` in each of `rounds` rounds. `state`
    is the URI of the folder where the state of each shard's optimiser is kept; `least` the shards
    with which a round goes on without the others (None: it needs all), those with the keys
    `required` among them; `delta_dtype` what deltas are compressed to (None: they are not)."""

    steps: int
    rounds: int
    state: str
    optimizer: str | None = None
    lr: float | None = None
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    lr_schedule: str = "constant"
    clip: float | None = None
    least: int | None = None
    required: tuple[str, ...] = ()
    delta_dtype: str | None = None


@dataclass(frozen=True)
class Gang(Spec):
    """Tasks that train together. `ranks` is who reads which shard (shard key → rank), `validation`
    the shard of each rank as a dict (None: nothing to read); `rows` and `validation_rows` are what
    planning counted (None: it could not); `checkpoints` is the folder to write, with the `identity`
    of the job; `timeout` (seconds) is the longest wait for ranks that have not started."""

    ranks: dict[str, int]
    checkpoints: str
    rounds: int
    identity: dict[str, Any]
    rows: int | None = None
    validation: tuple[dict[str, Any] | None, ...] = ()
    validation_rows: int | None = None
    max_bad: str = "0"
    optimizer: str | None = None
    lr: float | None = None
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    lr_schedule: str = "constant"
    clip: float | None = None
    early_stop: int | None = None
    keep_last: int | None = None
    timeout: float = 300.0

    @property
    def world_size(self) -> int:
        return len(self.ranks)


@dataclass(frozen=True)
class Training(Spec):
    """One pass over the rows. `weights` is the URI of the safetensors file with the weights at
    which gradients are taken (only the loss, without `with_gradient`); `label` and `loss` are for
    modules without a training_step; `local` is a `LocalSteps`, where steps are taken from them;
    `gang` a `Gang`, where tasks train together. With `letters` bad rows are written down."""

    weights: str
    round: int
    seed: int = 0
    batch_size: int = 1024
    label: str | None = None
    loss: str | None = None
    with_gradient: bool = True
    local: dict[str, Any] | None = None
    gang: dict[str, Any] | None = None
    letters: bool = False


@dataclass(frozen=True)
class TaskSpec(Spec):
    """All of it. `staging` is the URI under which finished shards are put; `progress` a local
    folder for progress files, where driver and tasks share a machine; `identity` holds the hashes
    of the job that the staging folder belongs to; `batch_timeout` (seconds)
    bounds one batch, and loading the model; `driver_pid` ends a task whose driver is gone;
    `evaluation` is an `Evaluation` where metrics are wanted, `training` a `Training` where
    gradients are, `grouping` a `Grouping` where predictions become those of groups, `ensemble` a
    `TaskEnsemble` where there are several models (`model` names them together)."""

    job: str
    model: dict[str, Any]
    data: dict[str, Any]
    staging: str
    identity: dict[str, str] | None = None
    output_format: str = "parquet"
    batch_size: str = "auto"
    threads: int | None = None
    prepare_workers: int = 0
    batch_timeout: float = 1800.0
    progress: str | None = None
    driver_pid: int | None = None
    evaluation: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    grouping: dict[str, Any] | None = None
    ensemble: dict[str, Any] | None = None

    @property
    def task_model(self) -> TaskModel:
        return TaskModel.from_dict(self.model)

    @property
    def task_data(self) -> TaskData:
        return TaskData.from_dict(self.data)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_dict()))

    @classmethod
    def read(cls, path: Path) -> TaskSpec:
        return cls.from_dict(json.loads(path.read_text()))


def encode_schema(schema: pa.Schema) -> str:
    """`schema` as text, for JSON."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    """The schema that `encode_schema` made `text` of."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
