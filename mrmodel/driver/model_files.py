"""The model's code and weights on the driver's side: found, hashed, and the columns it names."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.errors import ModelError
from mrmodel.models import code as user_code
from mrmodel.models import importing, reference
from mrmodel.models.weights import hash_weights, resolve_weights
from mrmodel.specs import ModelSpec
from mrmodel.tasks.code import import_paths
from mrmodel.tasks.spec import TaskEnsemble, TaskMember, TaskModel

# classes that have no columns of their own to say; any other base may
_PLAIN_BASES = {"Predictor", "Module", "LightningModule", "object"}


@dataclass(frozen=True)
class ModelFiles:
    """`spec` with absolute paths; `sha256` names the model (its weights, or its code where there
    are none), `code_sha256` the user's code; `weights` is a local path or a URI; `declared` the
    columns that the model's class says it reads. Of an ensemble `members` are its models, each with
    the name that people know it by; the other fields are of all together, and `weights` None.
    `form` tells how --dtype auto came to what `spec` says; `compiled` are the files of --compile,
    name → path."""

    spec: ModelSpec
    sha256: str
    code_sha256: str
    code: bytes | None
    weights: str | None
    weights_bytes: int
    declared: tuple[str, ...] | None
    members: tuple[tuple[str, ModelFiles], ...] = ()
    form: dict[str, Any] | None = None
    compiled: dict[str, str] = field(default_factory=dict)

    @property
    def described(self) -> dict[str, Any]:
        """The model as run.json tells of it."""
        told = {"ref": self.spec.ref, "sha256": self.sha256}
        if self.form:
            told["form"] = self.form
        if self.members:
            told["models"] = [
                {"name": name, "ref": model.spec.ref, "sha256": model.sha256}
                for name, model in self.members
            ]
        return told


def find_models(specs: Sequence[ModelSpec], needs_inputs: bool, folder: Path) -> ModelFiles:
    """As `find_model`; of several `specs`, an ensemble."""
    if len(specs) == 1:
        return find_model(specs[0], needs_inputs, folder)
    # weights of one name are fetched to different folders
    found = [find_model(s, needs_inputs, folder / str(n)) for n, s in enumerate(specs)]
    code = user_code.in_places({str(n): model.code for n, model in enumerate(found)})
    declared = [model.declared for model in found]
    named = list(dict.fromkeys(name for columns in declared for name in columns or ()))
    return ModelFiles(
        spec=replace(found[0].spec, ref=" + ".join(model.spec.ref for model in found)),
        sha256=_hash([_identity_of(model) for model in found]),
        code_sha256=code.sha256,
        code=code.data,
        weights=None,
        weights_bytes=sum(model.weights_bytes for model in found),
        declared=None if None in declared else tuple(named),
        members=tuple(zip(map(_name, specs), found, strict=True)),
    )


def task_model(files: ModelFiles) -> TaskModel:
    """What tasks are told of the model, or of an ensemble as a whole."""
    return TaskModel(
        files.spec.to_dict(), files.sha256, weights=files.spec.weights, compiled=files.compiled
    )


def task_ensemble(files: ModelFiles, aggregate: str | None) -> TaskEnsemble | None:
    """What tasks are told of the models of an ensemble; None where there is one model."""
    if not files.members:
        return None
    members = [
        TaskMember(replace(task_model(own), place=str(n)).to_dict(), name, own.declared).to_dict()
        for n, (name, own) in enumerate(files.members)
    ]
    return TaskEnsemble(tuple(members), aggregate)


def _name(spec: ModelSpec) -> str:
    return spec.ref if spec.weights is None else f"{spec.ref}={spec.weights}"


def find_model(spec: ModelSpec, needs_inputs: bool, folder: Path) -> ModelFiles:
    """Find and hash what `spec` names; remote weights are fetched into `folder`.

    With `needs_inputs`, the columns that the model declares are looked up. Raises ModelError or
    UsageError when something is missing or cannot be read.
    """
    ref = reference.parse(spec.ref)
    reference.check(ref)
    bundle = user_code.collect(ref, spec.py_files)
    weights = _local_weights(spec.weights, folder)
    pt2 = ref.kind == "pt2"
    files = Path(ref.source) if pt2 else weights
    absolute = replace(
        spec,
        ref=_absolute(ref),
        weights=str(weights) if weights else None,
        py_files=tuple(str(Path(path).resolve()) for path in spec.py_files),
    )
    return ModelFiles(
        spec=absolute,
        sha256=hash_weights(files) if files else bundle.sha256,
        code_sha256=bundle.sha256,
        code=bundle.data,
        weights=str(files) if files else None,
        weights_bytes=sum(size for _, size in resolve_weights(files).files) if files else 0,
        declared=_declared(ref, spec) if needs_inputs else None,
    )


def _absolute(ref: reference.ModelRef) -> str:
    if ref.kind == "module":
        return str(ref)
    return str(replace(ref, source=str(Path(ref.source).resolve())))


def _local_weights(uri: str | None, folder: Path) -> Path | None:
    if uri is None:
        return None
    entry = storage.storage_for(uri).stat(uri)
    if entry is None:
        raise ModelError(f"weights {uri} do not exist: check the path given to --weights")
    if storage.is_local(uri):
        return Path(storage.normalise(uri))
    return _fetch(entry.uri, folder / "weights" / storage.basename(entry.uri))


def _fetch(uri: str, target: Path) -> Path:
    """A local copy of the file or folder `uri`."""
    store = storage.storage_for(uri)
    entry = store.stat(uri)
    if entry is not None and entry.is_dir:
        for child in store.ls(uri, recursive=True):
            if not child.is_dir:
                _fetch(child.uri, target / storage.relative(child.uri, uri))
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.open(uri) as source, target.open("wb") as sink:
        while chunk := source.read(8 << 20):
            sink.write(chunk)
    return target


def _declared(ref: reference.ModelRef, spec: ModelSpec) -> tuple[str, ...] | None:
    """``inputs`` of the model's class: read from the source where it is written plainly there,
    so that the driver need not import what only the nodes have; else by importing it."""
    if ref.kind == "pt2":
        return reference.exported_inputs(Path(ref.source))
    path = Path(ref.source) if ref.kind == "file" else reference.find_module(ref.source)
    known, columns = _in_source(path, ref.name) if path else (False, None)
    if known:
        return columns
    sys.path[:0] = import_paths(spec.py_files)
    return _columns(getattr(importing.import_object(ref), "inputs", None))


def _in_source(path: Path, name: str | None) -> tuple[bool, tuple[str, ...] | None]:
    """(is it known, the columns)."""
    for node in reference.parse_source(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return True, None
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _in_class(node)
    return False, None


def _in_class(node: ast.ClassDef) -> tuple[bool, tuple[str, ...] | None]:
    for statement in node.body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(t, ast.Name) and t.id == "inputs" for t in targets):
            return _literal(statement)
    bases = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
    return bases <= _PLAIN_BASES, None


def _literal(statement: Any) -> tuple[bool, tuple[str, ...] | None]:
    try:
        value = ast.literal_eval(statement.value)
    except (ValueError, TypeError):
        return False, None
    return True, _columns(value)


def _columns(value: Any) -> tuple[str, ...] | None:
    """The columns that a class names in ``inputs``; None where that is something else. Raises
    ModelError for a str, of which each letter would be a column."""
    if isinstance(value, str):
        raise ModelError(
            f"inputs = {value!r} in the model's class: expected a list of column names; write "
            f"inputs = [{value!r}]"
        )
    is_names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return tuple(value) if is_names else None


def identity(files: ModelFiles, options: dict[str, Any]) -> dict[str, str]:
    """Hashes that must be equal for a finished shard to count in another run."""
    return {
        "model": files.sha256 if files.members else _hash(_identity_of(files)),
        "code": files.code_sha256,
        "options": _hash(options),
    }


def _identity_of(files: ModelFiles) -> dict[str, Any]:
    spec = files.spec
    model = {"ref": Path(spec.ref).name, "args": spec.args, "dtype": spec.dtype}
    form = {"quantize": spec.quantize} if spec.quantize else {}
    form |= {"compile": True} if spec.compile else {}
    return {**model, **form, "sha256": files.sha256}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
