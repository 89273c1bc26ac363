"""How many lines a user of a system has to write."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

# what is there for the measurement's sake, or for the command line that all programs share
_NOT_THE_USERS = re.compile(r"\bcommon\b|\bclock\.lap\b|\bparser\b|argparse")
_EMPTY = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


def user_lines(sources: Iterable[str], folder: Path) -> int:
    """The lines of code of `sources` together, each a path below `folder`: ``a.py``, or
    ``a.py:Name,name`` for these classes and functions of it with all its imports."""
    return sum(_of_source(folder, *source.partition(":")[::2]) for source in sources)


def _of_source(folder: Path, path: str, names: str) -> int:
    text = (folder / path).read_text("utf-8")
    return count(text, frozenset(names.split(",")) if names else None)


def count(text: str, names: frozenset[str] | None = None) -> int:
    """The lines of Python in `text` that are neither blank, comment, docstring, measurement nor
    shared command line; only of the definitions `names`, and the imports, where given."""
    tree = ast.parse(text)
    lines = text.splitlines()
    kept = _with_code(text) - _docstrings(tree)
    if names is not None:
        kept &= _of_names(tree, names)
    return sum(not _NOT_THE_USERS.search(lines[number - 1]) for number in kept)


def _with_code(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    spans = [(t.start[0], t.end[0]) for t in tokens if t.type not in _EMPTY]
    return {line for first, last in spans for line in range(first, last + 1)}


def _docstrings(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, *_DEFINITIONS))
        if documented and ast.get_docstring(node) is not None:
            found |= _span(node.body[0])
    return found


def _of_names(tree: ast.Module, names: frozenset[str]) -> set[int]:
    found: set[int] = set()
    for node in tree.body:
        wanted = isinstance(node, _DEFINITIONS) and node.name in names
        if wanted or isinstance(node, _IMPORTS):
            found |= _span(node)
    return found


def _span(node: ast.stmt) -> set[int]:
    decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
    return set(range(min([node.lineno, *decorators]), node.end_lineno + 1))
