"""The Python code that tasks need, as zips: the user's, and mrmodel's own."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import io
import marshal
import os
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.reference import ModelRef, find_module, parse_source

_OWN_PACKAGES = ("mrmodel", "mrjob")
_NOT_NEEDED = ("mrjob/examples/",)
# by tasks
_NOT_IMPORTED = ("mrmodel/cli/", "mrmodel/driver/", "mrmodel/runners/", "mrjob/tools/")
_ARCHIVES = (".zip", ".whl", ".egg")
# the first date that a zip can hold
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class CodeBundle:
    """A zip of code to be unpacked, or put on sys.path, as it is. The same files give the same
    bytes. ``sha256`` is of their names and contents, so that it outlives another zlib."""

    data: bytes
    sha256: str
    names: tuple[str, ...]


def collect(ref: ModelRef, py_files: Sequence[str | Path] = ()) -> CodeBundle:
    """The user's code: what `ref` names, what it imports from beside it, and `py_files`.

    The model's file lies at the root of the zip, under its own name. Imports are followed by
    reading the code, through modules and packages of the same folder; packages go whole, with
    their data files. Installed packages are left out: they must be installed where tasks run.
    `py_files` are .py files, package folders, and .zip, .whl or .egg files, which are merged in.

    Raises ModelError when a file is missing or is not Python, UsageError when two files of other
    contents would have the same name.
    """
    files: dict[str, Path] = {}
    if ref.kind == "file":
        path = Path(ref.source)
        files = _with_neighbours(path.parent, path.stem)
    elif ref.kind == "module":
        files = _module_files(ref.source)
    contents = {name: path.read_bytes() for name, path in files.items()}
    for extra in py_files:
        for name, data in _py_file(Path(extra).expanduser()):
            if contents.setdefault(name, data) != data:
                raise UsageError(f"--py-files {extra}: another file is called {name} too")
    return _bundle(contents)


def in_places(bundles: Mapping[str, bytes]) -> CodeBundle:
    """`bundles` (the data of each) as one, each in the folder that is its key: files of one name do
    not meet."""
    contents: dict[str, bytes] = {}
    for place, data in bundles.items():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            contents.update((f"{place}/{name}", archive.read(name)) for name in archive.namelist())
    return _bundle(contents)


@functools.cache  # every round of training is a job that needs it
def package_zip() -> CodeBundle:
    """mrmodel and mrjob from where they are installed, so that nodes need neither. What tasks
    import is there compiled, too, for nodes with the Python of this machine; others pass it by."""
    contents = {name: path.read_bytes() for name, path in _own_files()}
    imported = (n for n in contents if n.endswith(".py") and not n.startswith(_NOT_IMPORTED))
    compiled = {f"{name}c": _compiled(name, contents[name]) for name in imported}
    return _bundle({**contents, **compiled})


@functools.cache
def package_data(kept: Path) -> bytes:
    """The data of `package_zip`, from the file `kept` where it was made of the same files: to make
    it takes a third of a second."""
    mark = _mark(_own_files())
    with suppress(OSError):
        found = kept.read_bytes()
        if found.startswith(mark):
            return found[len(mark) :]
    data = package_zip().data
    with suppress(OSError):  # a folder that cannot be written
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
        temporary.write_bytes(mark + data)
        temporary.replace(kept)
    return data


def _own_files() -> Iterator[tuple[str, Path]]:
    """The files of mrmodel and mrjob that tasks may need, as (name in the zip, path)."""
    for package in _OWN_PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(f"{package} is not installed here: pip install {package}")
        root = Path(next(iter(spec.submodule_search_locations)))
        yield from (entry for entry in _tree(root) if not entry[0].startswith(_NOT_NEEDED))


def _mark(files: Iterable[tuple[str, Path]]) -> bytes:
    """Changes when one of `files` does, and with the Python that compiles them."""
    digest = hashlib.sha256(importlib.util.MAGIC_NUMBER)
    for name, path in files:
        found = path.stat()
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.digest()


def _compiled(name: str, source: bytes) -> bytes:
    """The contents of the .pyc file beside the module `name`: what PEP 552 calls unchecked, since
    source and code come in one file."""
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    flags = 1  # hash-based
    head = importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little")
    return head + importlib.util.source_hash(source) + code


def is_installed(path: Path) -> bool:
    """True for code of the standard library, or that pip put in place."""
    places = sysconfig.get_paths()
    roots = [Path(places[key]).resolve() for key in ("stdlib", "platstdlib")]
    resolved = path.resolve()
    return bool({"site-packages", "dist-packages"} & set(resolved.parts)) or any(
        resolved.is_relative_to(root) for root in roots
    )


def _module_files(name: str) -> dict[str, Path]:
    """The top-level package of the module `name`, and its neighbours; none if it is installed."""
    path = find_module(name)
    top, _, rest = name.partition(".")
    if path is None or is_installed(path):
        return {}
    depth = rest.count(".") + 1 if rest else 0
    if path.name == "__init__.py":
        depth += 1
    return _with_neighbours(path.parents[depth], top)


def _with_neighbours(root: Path, start: str) -> dict[str, Path]:
    """The module or package `start` of the folder `root` and all that they import from it."""
    found: dict[str, Path] = {}
    waiting, seen = [start], {start}
    while waiting:
        added = dict(_local(root, waiting.pop()))
        found.update(added)
        imported = {name for path in added.values() for name in _imports(path)}
        waiting += sorted(imported - seen)
        seen |= imported
    return found


def _local(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """The files of the top-level module `name`, where `root` has it."""
    package, module = root / name, root / f"{name}.py"
    if (package / "__init__.py").is_file():
        yield from _tree(package)
    elif module.is_file():
        yield module.name, module
    elif package.is_dir() and any(package.rglob("*.py")) and not _known_elsewhere(name):
        yield from _tree(package)


def _known_elsewhere(name: str) -> bool:
    """A folder without __init__.py gives way to any other module of that name."""
    spec = importlib.machinery.PathFinder.find_spec(name)
    return spec is not None and spec.origin is not None


def _imports(path: Path) -> set[str]:
    """The top-level names that a Python file imports, wherever in it; none for other files."""
    if path.suffix != ".py":
        return set()
    names: set[str] = set()
    for node in ast.walk(parse_source(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _tree(package: Path) -> Iterator[tuple[str, Path]]:
    """All files of a package as (name in the zip, path), without caches and hidden files."""
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package.parent).as_posix()
        if path.is_file() and _wanted(name):
            yield name, path


def _wanted(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not hidden and not name.endswith((".pyc", ".pyo"))


def _py_file(path: Path) -> Iterator[tuple[str, bytes]]:
    """What one --py-files adds: (name in the zip, contents)."""
    if path.is_dir():
        yield from ((name, file.read_bytes()) for name, file in _tree(path.resolve()))
    elif not path.is_file():
        raise UsageError(f"--py-files {path} does not exist")
    elif path.suffix == ".py":
        yield path.name, path.read_bytes()
    elif path.suffix in _ARCHIVES:
        yield from _archived(path)
    else:
        raise UsageError(
            f"--py-files {path}: expected a .py file, a package folder, or a {', '.join(_ARCHIVES)}"
        )


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.startswith("/") or ".." in name.split("/"):
                    raise UsageError(f"--py-files {path}: {name} would leave its folder")
                if not name.endswith("/") and _wanted(name):
                    yield name, archive.read(name)
    except zipfile.BadZipFile as e:
        raise UsageError(f"--py-files {path}: not a zip file: {e}") from e


def _bundle(contents: dict[str, bytes]) -> CodeBundle:
    names = tuple(sorted(contents))
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, contents[name])
            digest.update(f"{name}\0{len(contents[name])}\0".encode())
            digest.update(contents[name])
    return CodeBundle(buffer.getvalue(), digest.hexdigest(), names)
