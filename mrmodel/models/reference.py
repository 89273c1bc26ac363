"""MODEL as people write it, and what can be known of it without running the user's code."""

from __future__ import annotations

import ast
import importlib.machinery
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mrmodel.errors import ModelError, UsageError

FORMS = "path/to/file.py:Name, package.module:Name or a torch.export file.pt2"


@dataclass(frozen=True)
class ModelRef:
    """MODEL, parsed. `kind` is ``file``, ``module`` or ``pt2``; `source` the path of the file or
    the dotted name of the module; `name` what to take from it (None for a .pt2)."""

    kind: str
    source: str
    name: str | None = None

    def __str__(self) -> str:
        return self.source if self.name is None else f"{self.source}:{self.name}"


@dataclass(frozen=True)
class Names:
    """What a module defines at its top level, in its order. ``defined`` are its own classes,
    functions and values, ``imported`` what it takes from elsewhere; ``open`` is True when star
    imports or ``__getattr__`` may give it more."""

    defined: tuple[str, ...]
    imported: tuple[str, ...]
    open: bool


def parse(text: str) -> ModelRef:
    """The ModelRef that `text` spells. Raises UsageError, with the three forms, for any other."""
    source, _, name = text.rpartition(":")
    if source.endswith(".py") and name.isidentifier():
        return ModelRef("file", os.path.expanduser(source), name)
    if re.fullmatch(r"\w+(\.\w+)*", source) and name.isidentifier():
        return ModelRef("module", source, name)
    if text.endswith(".pt2"):
        return ModelRef("pt2", os.path.expanduser(text))
    raise UsageError(f"MODEL: expected {FORMS} but received {text!r} {_remedy(text)}")


def split_weights(text: str) -> tuple[str, str | None]:
    """(MODEL, weights) of ``MODEL=WEIGHTS``; (MODEL, None) of MODEL alone.

    Paths and URIs on both sides may hold ``=``: the first one counts that has a MODEL before it.
    Raises UsageError where there is no MODEL, or nothing after the ``=``.
    """
    at = text.find("=")
    while at >= 0:
        if is_model(text[:at]):
            if at + 1 == len(text):
                raise UsageError(f"{text}: expected weights after the =, or MODEL alone")
            return text[:at], text[at + 1 :]
        at = text.find("=", at + 1)
    parse(text)
    return text, None


def is_model(text: str) -> bool:
    """Whether `text` is a MODEL, as it is written."""
    try:
        parse(text)
    except UsageError:
        return False
    return True


def check(ref: ModelRef) -> None:
    """Raise ModelError unless what `ref` names is there. The user's code is read, never run."""
    if ref.kind == "module":
        path = find_module(ref.source)
        if path is None or path.suffix != ".py":
            return  # a namespace package or compiled code: only importing it can tell
    else:
        path = Path(ref.source)
        if not path.is_file():
            raise ModelError(_no_file(ref))
    if ref.kind != "pt2":
        _check_name(path, ref)


def top_level_names(tree: ast.Module) -> Names:
    """What `tree` defines at its top level, inside ``if``, ``try``, ``with`` and loops too."""
    defined: dict[str, None] = {}
    imported: dict[str, None] = {}
    for node in _statements(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported.update((a.asname or a.name.split(".")[0], None) for a in node.names)
        else:
            defined.update((name, None) for name in _bound(node))
    is_open = "*" in imported or "__getattr__" in defined
    return Names(tuple(defined), tuple(n for n in imported if n != "*"), is_open)


def parse_source(path: Path) -> ast.Module:
    """The syntax tree of a Python file. Raises ModelError, with the line, when there is none."""
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as e:
        line = f":{e.lineno}" if e.lineno else ""
        raise ModelError(f"{path}{line}: {e.msg}: not valid Python") from e
    except (ValueError, OSError) as e:
        raise ModelError(f"{path}: cannot be read as Python: {e}") from e


def exported_inputs(path: str | Path) -> tuple[str, ...] | None:
    """The names of the tensors that a torch.export file takes, which are the columns it reads
    unless --inputs names others. None when they cannot be read from it without torch."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(n for n in archive.namelist() if n.endswith("/models/model.json"))
            signature = json.loads(archive.read(member))["graph_module"]["signature"]
        specs = [s["user_input"]["arg"] for s in signature["input_specs"] if "user_input" in s]
        return tuple(spec["as_tensor"]["name"] for spec in specs) or None
    except (OSError, ValueError, KeyError, TypeError, StopIteration, zipfile.BadZipFile):
        return None


def find_module(name: str) -> Path | None:
    """Where the module `name` would be imported from; None for one without a file of its own.

    Looks on sys.path and in the current folder, as ``python -m`` does. Unlike
    importlib.util.find_spec, imports no parent package. Raises ModelError when there is none.
    """
    path: list[str] | None = None
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:i]), path)
        if spec is None or (i < len(parts) and spec.submodule_search_locations is None):
            raise ModelError(_no_module(name, ".".join(parts[:i]), spec is None))
        path = list(spec.submodule_search_locations or ())
    has_file = spec.origin and spec.has_location
    return Path(spec.origin) if has_file else None


def _find_spec(name: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    path_finder = importlib.machinery.PathFinder
    if path is not None:
        # a dotted name would make it ask sys.modules for the parent, which is not imported
        return path_finder.find_spec(name.rpartition(".")[2], path)
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, None, None) if find else None
        if spec is not None:
            return spec
    return path_finder.find_spec(name, [os.getcwd()])


def _check_name(path: Path, ref: ModelRef) -> None:
    names = top_level_names(parse_source(path))
    if names.open or ref.name in names.defined or ref.name in names.imported:
        return
    raise ModelError(f"{path} does not define {ref.name!r}: {_offer(names)}")


def _offer(names: Names) -> str:
    public = [name for name in names.defined if not name.startswith("_")]
    return f"it defines {', '.join(public)}" if public else "it defines no name"


def _no_file(ref: ModelRef) -> str:
    folder = Path(ref.source).parent
    if not folder.is_dir():
        return f"model file {ref.source} does not exist: there is no folder {folder}"
    there = sorted(p.name for p in folder.iterdir() if p.suffix == Path(ref.source).suffix)
    what = f"the folder holds {', '.join(there[:10])}" if there else "check the path"
    return f"model file {ref.source} does not exist: {what}"


def _no_module(name: str, part: str, missing: bool) -> str:
    if missing:
        return (
            f"module {name} does not exist: no {part} on sys.path or in the current folder; "
            f"install it, add it with --py-files, or name its file (path/to/file.py:Name)"
        )
    return f"module {name} does not exist: {part} is a module, not a package"


def _remedy(text: str) -> str:
    path = Path(os.path.expanduser(text.rpartition(":")[0] or text))
    if path.suffix == ".py" and path.is_file():
        return f"({_offer(top_level_names(parse_source(path)))}; say {path}:NAME)"
    return "(for example: mrmodel predict model.py:Net data.parquet -o out)"


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, blocks opened."""
    for node in body:
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _statements(getattr(node, block, []))


def _bound(node: ast.stmt) -> list[str]:
    """The names that one statement binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    else:
        return []
    stores = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return [n.id for n in stores if isinstance(n.ctx, ast.Store)]
