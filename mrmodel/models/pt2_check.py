"""Refuse a torch.export file that could run code while it is loaded.

torch.export.load is not made for files one does not trust. Read in PyTorch 2.13, it
- unpickles without limits: tensors marked ``use_pickle``, ``custom_obj_*`` and ``opaque_obj_*``
  members, and any .pt member whose limited unpickling fails (it tries again without the limits);
- loads native code: members under ``data/aotinductor/``;
- evaluates text of the program's JSON: shapes by sympy (which calls ``eval``), guards and names
  by generating Python source, operators by walking attributes from ``torch`` (torch.os.system),
  pytree contexts by importing the module that they name.

So the JSON is checked against what torch.export.save writes, everything else is refused, and
``tensors_only`` takes the second try away from torch.load.
"""

from __future__ import annotations

import ast
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch

from mrmodel.errors import ModelError

_OLDER_PROGRAM = "serialized_exported_program.json"
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORCE_NOT = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_NAMESPACES = "aten|prims|prim|quantized|quantized_decomposed|mkldnn|onednn|torchvision|torchao"
# those that take programs and tensors; others call what they are given
_HIGHER_ORDER = (
    "cond|while_loop|scan|associative_scan|map|map_impl|invoke_subgraph|strict_mode|hints_wrapper|"
    "wrap|wrap_with_set_grad_enabled|wrap_with_autocast|wrap_activation_checkpoint|checkpoint|"
    "tag_activation_checkpoint|flex_attention|out_dtype|auto_functionalized|auto_functionalized_v2"
)
_OPERATORS = (
    "abs|add|and_|eq|floordiv|ge|getitem|gt|inv|invert|le|lshift|lt|mod|mul|ne|neg|not_|or_|pos|"
    "pow|rshift|sub|truediv|truth|xor"
)
_BITWISE = "__i?(and|or|xor|lshift|rshift)__"
_TARGET = re.compile(
    rf"torch\.ops\.({_NAMESPACES})\.({_BITWISE}|(?!__)\w+)(\.(?!_)\w+)?|torch\._?sym_\w+"
    rf"|torch\.ops\.higher_order\.({_HIGHER_ORDER})|_operator\.({_OPERATORS})|math\.(?!_)\w+"
)
_WRITES_FILES = re.compile(r"torch\.ops\.aten\.(from_file|save|load)\b")
_NAME = re.compile(r"[\w.\-@]*")
_WORD = re.compile(r"[\w.+\-]*")
_GUARD = re.compile(r"[\w .,()\[\]'+\-*/%<>=!&|^~]*")
# data that torch keeps as it is: traces, literal arguments of operators, versions
_FREE_KEYS = {"metadata", "as_string", "as_strings", "torch_version"}
_SPEC_TYPES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_SPEC_TYPES |= {"collections.namedtuple", None}
_CALLS = set(
    """
    Symbol Integer Float Rational Add Mul Pow Max Min Abs Mod And Or Not Xor
    Eq Ne Lt Le Gt Ge Equality Unequality Relational StrictLessThan LessThan StrictGreaterThan
    GreaterThan Piecewise ExprCondPair Tuple floor ceiling sqrt
    FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift
    PowByNatural FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat
    TruncToInt RoundToInt RoundDecimal ToFloat Identity
    BitwiseFn_bitwise_and BitwiseFn_bitwise_or BitwiseFn_bitwise_xor
    max min abs int float bool
    """.split()  # noqa: SIM905  forty quoted names read less well
)
_METHODS = {"size", "stride", "storage_offset", "dim", "numel", "floor", "ceil", "trunc", "sqrt"}


def check_exported(path: Path) -> None:
    """Raise ModelError unless loading the torch.export file at `path` can run no code of its own.

    The file is looked at as both of the readers that torch.export.load uses see it, so that no
    member can hide from one of them.
    """
    archive, older = _as_archive(path), _as_zip(path)
    if archive is None and older is None:
        raise ModelError(f"model file {path} is no torch.export file: it is truncated or other")
    programs = _check_archive(path, *archive) if archive else 0
    programs += _check_older(path, *older) if older else 0
    if not programs:
        raise ModelError(f"model file {path} is no torch.export file: it holds no program")


@contextmanager
def tensors_only() -> Iterator[None]:
    """Within it torch.load keeps to its limits (weights_only), whatever it is asked for."""
    before = {name: os.environ.get(name) for name in (_FORCE, _FORCE_NOT)}
    os.environ.pop(_FORCE_NOT, None)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_Reader = tuple[list[str], Callable[[str], bytes]]


def _as_archive(path: Path) -> _Reader | None:
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        return reader.get_all_records(), reader.get_record
    except RuntimeError:  # torch.export.load goes on to the older format then
        return None


def _as_zip(path: Path) -> _Reader | None:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        return None
    return archive.namelist(), archive.read


def _check_archive(path: Path, names: list[str], read: Callable[[str], bytes]) -> int:
    """Check the members of the format since PyTorch 2.8; the number of programs. Which member is
    what goes by its folder alone, as it does for torch."""
    programs = [name for name in names if name.startswith("models/")]
    for name in names:
        if "aotinductor/" in name or "executorch/" in name:
            raise ModelError(f"{path}: holds compiled code ({name}); {_SAVE_AGAIN}")
        if name.rpartition("/")[2].startswith(("custom_obj_", "opaque_obj_")):
            raise ModelError(_pickled(path, name))
        if name.startswith(("data/weights/", "data/constants/")) and name.endswith(".json"):
            _check_payloads(path, _json(path, name, read))
    for name in programs:
        _check_value(_Place(path), _json(path, name, read), "")
    return len(programs)


def _check_older(path: Path, names: list[str], read: Callable[[str], bytes]) -> int:
    """Check the program of the older format, a plain zip; the number of programs."""
    if _OLDER_PROGRAM not in names:
        return 0
    _check_value(_Place(path), _json(path, _OLDER_PROGRAM, read), "")
    return 1


_SAVE_AGAIN = "save the program with torch.export.save(torch.export.export(model, args), path)"


def _pickled(path: Path, member: str) -> str:
    return f"{path}: holds pickled code ({member}), which mrmodel never runs; {_SAVE_AGAIN}"


def _json(path: Path, name: str, read: Callable[[str], bytes]) -> Any:
    try:
        return json.loads(read(name))
    except (ValueError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as e:
        raise ModelError(f"model file {path}: {name} cannot be read: {type(e).__name__}") from e


def _check_payloads(path: Path, document: Any) -> None:
    """The table of weights or constants: name → where its bytes are, and whether pickled."""
    entries = document.get("config", {}) if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise ModelError(f"model file {path}: its table of tensors cannot be read")
    for name, entry in entries.items():
        file = str(entry.get("path_name", "")) if isinstance(entry, dict) else ""
        if not _NAME.fullmatch(name):
            raise ModelError(_unexpected(path, "a tensor's name", name))
        if not file.startswith(("weight_", "tensor_")) or entry.get("use_pickle") is not False:
            raise ModelError(_pickled(path, name))


class _Place:
    """The file that a checked text is in, for errors."""

    def __init__(self, path: Path):
        self.path = path

    def refuse(self, what: str, text: str) -> NoReturn:
        raise ModelError(_unexpected(self.path, what, text))


def _unexpected(path: Path, what: str, text: str) -> str:
    shown = text if len(text) <= 80 else text[:80] + "…"
    return (
        f"{path}: {what} is {shown!r}, which torch.export does not write or could run code; "
        f"{_SAVE_AGAIN}"
    )


def _check_value(place: _Place, value: Any, key: str) -> None:
    if key in _FREE_KEYS:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(place, name, "expr_str" if key == "range_constraints" else "")
            _check_value(place, item, name)
    elif isinstance(value, list):
        for item in value:
            _check_value(place, item, key)
    elif isinstance(value, str):
        _check_text(place, value, key)


def _check_text(place: _Place, text: str, key: str) -> None:
    if key == "expr_str":
        _check_expression(place, text)
    elif key == "guards_code":
        _check_guard(place, text)
    elif key in ("target", "as_operator"):
        _check_target(place, text)
    elif key in ("in_spec", "out_spec"):
        _check_spec(place, text, key)
    elif not _NAME.fullmatch(text):
        place.refuse(f"a name ({key})" if key else "a name", text)


def _check_target(place: _Place, text: str) -> None:
    if not _TARGET.fullmatch(text) or _WRITES_FILES.match(text):
        place.refuse("an operator", text)


def _check_expression(place: _Place, text: str) -> None:
    """A shape: calls of known sympy classes on symbols and numbers, nothing else."""
    for node in _walk(place, text, "a shape"):
        ok = isinstance(node, _ARITHMETIC) or _is_call(node) or _is_constant(node)
        if not ok:
            place.refuse("a shape", text)


def _check_guard(place: _Place, text: str) -> None:
    """A condition on the inputs: also L['name'], its size() and the like."""
    if not _GUARD.fullmatch(text):
        place.refuse("a guard", text)
    for node in _walk(place, text, "a guard"):
        method = isinstance(node, ast.Attribute) and node.attr in _METHODS
        call = isinstance(node, ast.Call) and (_is_call(node) or _is_method(node.func))
        known = isinstance(node, (*_ARITHMETIC, ast.Subscript)) or _is_constant(node)
        if not (method or call or known):
            place.refuse("a guard", text)


_ARITHMETIC = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Name,
    ast.Load, ast.keyword, ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.Tuple,
)  # fmt: skip


def _walk(place: _Place, text: str, what: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        place.refuse(what, text)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _METHODS


def _is_constant(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant):
        return False
    text = isinstance(node.value, str) and _WORD.fullmatch(node.value)
    return bool(text) or isinstance(node.value, (int, float, bool, type(None)))


def _check_spec(place: _Place, text: str, key: str) -> None:
    """The nesting of inputs or outputs, JSON within JSON. Other containers than these import
    modules by name, or call what the file names."""
    try:
        _, tree = json.loads(text)
        _check_tree(place, tree, key)
    except (ValueError, TypeError, KeyError, AttributeError):
        place.refuse("a tree of inputs or outputs", text)


def _check_tree(place: _Place, tree: dict[str, Any], key: str) -> None:
    kind, context = tree["type"], tree["context"]
    if kind not in _SPEC_TYPES:
        place.refuse("a container", str(kind))
    keys = json.loads(context) if isinstance(context, str) else context
    for name in keys if isinstance(keys, list) else [keys]:
        # the names of inputs become parameters of generated code
        word = isinstance(name, str) and (key == "out_spec" or _NAME.fullmatch(name))
        if not word and not isinstance(name, (int, type(None))):
            place.refuse("a container's key", str(name))
    for child in tree["children_spec"]:
        _check_tree(place, child, key)
