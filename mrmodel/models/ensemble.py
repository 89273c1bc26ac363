"""Several models over the same rows as one Predictor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import ModelOutputError, MrmodelError
from mrmodel.models.predictor import Predictor
from mrmodel.tensors.aggregation import Aggregation
from mrmodel.tensors.columns import length
from mrmodel.tensors.outputs import to_arrow
from mrmodel.tensors.side_by_side import alike, reduced, side_by_side

_ROWS = "rows"


@dataclass(frozen=True)
class Member:
    """One model of an ensemble: its `name` for people, the loaded `predictor`, and the columns
    that it reads (None: all there are)."""

    name: str
    predictor: Any
    columns: tuple[str, ...] | None


class Ensemble(Predictor):
    """The predictions of `members`, reduced to one per row as `how` says; None leaves them side by
    side, each output a list of one value per model.

    Each model prepares for itself (what is prepared may depend on its weights) and has the columns
    to itself, since models may work in place. Rows are ordered by size where all models have
    `size`. An exception of a model carries its name: see `told_by`.
    """

    def __init__(self, members: Sequence[Member], how: Aggregation | None):
        self._members = list(members)
        self._how = how
        predictors = [member.predictor for member in self._members]
        # a model that takes one batch size cuts and pads others by itself
        fixed = [getattr(predictor, "batch_size", None) or 0 for predictor in predictors]
        self.batch_size = max(fixed) or None
        if all(hasattr(predictor, "size") for predictor in predictors):
            self.size = self._size

    def prepare(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What the predict of each model takes, by the model's place, and the rows, which are cut
        and ordered with it."""
        prepared = {str(n): _prepared(member, batch) for n, member in enumerate(self._members)}
        return {**prepared, _ROWS: np.arange(length(batch) or 0)}

    def predict(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ModelOutputError where the models' outputs differ in names or shapes."""
        rows = len(batch[_ROWS])
        found = [_predicted(m, batch[str(n)], rows) for n, m in enumerate(self._members)]
        self._check_alike(found)
        outputs = reduced(found, self._how) if self._how else side_by_side(found)
        return dict(zip(outputs.schema.names, outputs.columns, strict=True))

    def _size(self, prepared: Mapping[str, Any]) -> np.ndarray:
        return sum(_sizes(member, prepared[str(n)]) for n, member in enumerate(self._members))

    def _check_alike(self, found: Sequence[pa.RecordBatch]) -> None:
        first, expected = self._members[0].name, found[0].schema
        for member, outputs in zip(self._members[1:], found[1:], strict=True):
            if not alike(expected, outputs.schema):
                raise ModelOutputError(
                    f"models of an ensemble must give the same columns: expected "
                    f"{_told(expected)} as model {first} gives, but received "
                    f"{_told(outputs.schema)} from model {member.name}; make their outputs alike"
                )


@contextmanager
def speaking_for(name: str) -> Iterator[None]:
    """Let what is raised within say that it comes from the model `name`. Exceptions keep their
    type, by which bad rows are counted and lack of memory is known."""
    try:
        yield
    except MrmodelError as error:
        raise type(error)(f"model {name}: {error.message}", error.detail) from error
    except Exception as error:
        error.mrmodel_member = name  # type: ignore[attr-defined]
        raise


def told_by(error: BaseException) -> str | None:
    """The name of the model of an ensemble that raised `error`; None for others."""
    return getattr(error, "mrmodel_member", None)


def _prepared(member: Member, batch: Mapping[str, Any]) -> Any:
    names = batch if member.columns is None else member.columns
    own = deepcopy({name: batch[name] for name in names})
    prepare = getattr(member.predictor, "prepare", None)
    with speaking_for(member.name):
        return prepare(own) if prepare else own


def _predicted(member: Member, prepared: Any, rows: int) -> pa.RecordBatch:
    with speaking_for(member.name):
        return to_arrow(member.predictor.predict(prepared), rows)


def _sizes(member: Member, prepared: Any) -> np.ndarray:
    with speaking_for(member.name):
        return np.asarray(member.predictor.size(prepared), dtype=float)


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({_kind(field.type)})" for field in schema)


def _kind(kind: pa.DataType) -> str:
    """``float[3][4]`` for fixed-size lists of floats."""
    sizes = ""
    while pa.types.is_fixed_size_list(kind):
        sizes += f"[{kind.list_size}]"
        kind = kind.value_type
    return f"{kind}{sizes}"
