"""Import the user's code, and show what goes wrong in it as they would see it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import mrmodel
from mrmodel.errors import ModelError, MrmodelError
from mrmodel.models.reference import ModelRef

_OURS = str(Path(mrmodel.__file__).parent) + os.sep
_user_folders: set[str] = set()


def import_object(ref: ModelRef) -> Any:
    """What `ref` (a file or a module) names, imported.

    A file is run anew on every call, under a name of its own, with its folder first on sys.path.
    Raises ModelError, with the user's traceback as detail.
    """
    with user_code("could not be imported"):
        module = _import_file(Path(ref.source)) if ref.kind == "file" else _import_module(ref)
    try:
        return getattr(module, ref.name or "")
    except AttributeError:
        public = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise ModelError(
            f"{ref.source} does not define {ref.name!r}: it defines {public}"
        ) from None


@contextmanager
def user_code(what: str = "failed to load") -> Iterator[None]:
    """Turn whatever the user's code raises into a ModelError of one line.

    ``detail`` is the traceback from the first frame of theirs on. Errors of mrmodel pass.
    """
    try:
        yield
    except MrmodelError:
        raise
    except (Exception, SystemExit) as e:
        raise ModelError(f"the model {what}: {describe(e)}", detail=user_traceback(e)) from e


def describe(error: BaseException) -> str:
    """One line: the error's type, message and place, and what to do where that is known."""
    lines = str(error).strip().splitlines() or [""]
    message = lines[0] if len(lines) == 1 else f"{lines[0]} …"
    if isinstance(error, SyntaxError) and error.filename:
        message = f"{error.msg} ({Path(error.filename).name}:{error.lineno})"
    else:
        place = _place(error)
        message = f"{message} ({place})" if place else message
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text + _remedy(error)


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` from the user's first frame on; "" when no frame is theirs."""
    frame = error.__traceback__
    while frame is not None and not _is_theirs(frame):
        frame = frame.tb_next
    if frame is None and not isinstance(error, SyntaxError):
        return ""
    return "".join(traceback.format_exception(type(error), error, frame, chain=False)).rstrip()


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist")
    path = path.resolve()
    _put_on_path(path.parent)
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"mrmodel_user_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"model file {path} cannot be imported: expected a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(ref: ModelRef) -> ModuleType:
    try:
        return importlib.import_module(ref.source)
    except ModuleNotFoundError as e:
        if e.name is None or not (ref.source + ".").startswith(e.name + "."):
            raise
        if os.getcwd() in sys.path:
            raise
    sys.path.append(os.getcwd())
    return importlib.import_module(ref.source)


def _put_on_path(folder: Path) -> None:
    """Make `folder` the first to import from; forget modules of the same name of another model.

    One process runs several models in notebooks and tests, and every folder has its utils.py.
    """
    here = str(folder)
    _user_folders.add(here)
    if sys.path[:1] != [here]:
        sys.path[:] = [here, *(p for p in sys.path if p != here)]
    for name, module in list(sys.modules.items()):
        source = getattr(module, "__file__", None) or ""
        top = name.partition(".")[0]
        elsewhere = any(source.startswith(f + os.sep) for f in _user_folders - {here})
        offered = (folder / f"{top}.py").exists() or (folder / top / "__init__.py").exists()
        if elsewhere and offered and not name.startswith("mrmodel"):
            del sys.modules[name]


def _is_theirs(frame: TracebackType) -> bool:
    name = frame.tb_frame.f_code.co_filename
    if name.startswith((_OURS, "<frozen")):
        return False
    module = frame.tb_frame.f_globals.get("__name__", "") or ""
    if module.startswith("mrmodel."):  # where it was compiled elsewhere, files have other names
        return False
    return module.partition(".")[0] not in ("torch", "importlib", "contextlib")


def _place(error: BaseException) -> str:
    """``model.py:12``: the last frame in code that is not installed; else the last of theirs."""
    frames = []
    frame = error.__traceback__
    while frame is not None:
        frames.append(frame)
        frame = frame.tb_next
    theirs = [f for f in frames if _is_theirs(f)]
    written = [f for f in theirs if not _is_installed(f.tb_frame.f_code.co_filename)]
    if not (written or theirs):
        return ""
    last = (written or theirs)[-1]
    return f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"


def _is_installed(path: str) -> bool:
    parts = Path(path).parts
    stdlib = str(Path(os.__file__).parent)
    return "site-packages" in parts or "dist-packages" in parts or path.startswith(stdlib)


def _remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f": add the code of {error.name} with --py-files, or install it where the tasks run "
            "(--python, --env)"
        )
    if isinstance(error, ImportError) and "relative import" in str(error):
        return ": a file inside a package is named as package.module:Name"
    return ""
