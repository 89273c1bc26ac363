"""The source code of the package as trees, for the tests of its shape."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mrmodel"


def module_name(path: Path) -> str:
    """``mrmodel.tasks.run`` of mrmodel/tasks/run.py; a package is called as its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): ast.parse(path.read_text(), str(path))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(tree: ast.AST) -> list[str]:
    """What `tree` imports anywhere; ``from mrmodel import storage`` is mrmodel.storage."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative imports hide where things are"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in MODULES else str(node.module) for name in full]
    return found


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    """All functions and methods of `tree`."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def without_types(tree: ast.Module) -> ast.Module:
    """`tree` without what stands under ``if TYPE_CHECKING``: that is never imported."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(kept, [])
