"""The model of a task, loaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from mrmodel.models.channels import lay_out
from mrmodel.models.compiled import use_compiled
from mrmodel.models.ensemble import Ensemble, Member, speaking_for
from mrmodel.models.loading import load_predictor
from mrmodel.models.packed import pack
from mrmodel.tasks.code import reach_code, weights_of
from mrmodel.tasks.spec import TaskEnsemble, TaskMember, TaskModel, TaskSpec
from mrmodel.tensors.aggregation import parse_aggregation


def set_threads(threads: int) -> None:
    """`threads` for torch and the libraries below it."""
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # tokenizers starts its own pool, which the forward pass would fight with
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false" if threads == 1 else "true")


def predictor_of(spec: TaskSpec) -> Any:
    """What a task predicts with, ready; of several models, one predictor that runs them all.
    Raises as `load` does, then with the model's name."""
    inputs = spec.task_data.inputs
    if spec.ensemble is None:
        return load(spec.task_model, inputs)
    ensemble = TaskEnsemble.from_dict(spec.ensemble)
    members = [_load_member(member, inputs) for member in ensemble.task_members]
    return Ensemble(members, ensemble.aggregate and parse_aggregation(ensemble.aggregate))


def _load_member(member: TaskMember, inputs: tuple[str, ...] | None) -> Member:
    columns = inputs if member.inputs is None else member.inputs
    with speaking_for(member.name):
        return Member(member.name, load(member.task_model, columns), columns)


def load(task_model: TaskModel, inputs: tuple[str, ...] | None) -> Any:
    """The predictor, ready. Raises ModelError when it cannot be loaded."""
    spec = task_model.model
    ref = reach_code(task_model)
    predictor = load_predictor(
        ref,
        model_args=spec.args,
        weights=weights_of(task_model),
        device=spec.device,
        dtype=spec.dtype,
        inputs=list(inputs) if inputs is not None else None,
        quantize=spec.quantize,
    )
    if task_model.compiled:
        use_compiled(predictor, {n: Path.cwd() / p for n, p in task_model.compiled.items()})
    else:
        lay_out_weights(predictor)
    return predictor


def lay_out_weights(predictor: Any) -> None:
    """Lay out the weights of `predictor` as they are fastest on this machine."""
    pack(predictor)
    lay_out(predictor)
