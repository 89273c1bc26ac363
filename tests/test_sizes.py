"""Small files, small functions, and a sentence for each public name."""

import ast

from tests.source import MODULES, PACKAGE, ROOT, functions

MODULE_LINES = 400
TEST_LINES = 500
FUNCTION_LINES = 60


def too_long(paths, most):
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert sizes
    return {name: lines for name, lines in sizes.items() if lines > most}


def test_files():
    assert too_long(PACKAGE.rglob("*.py"), MODULE_LINES) == {}
    assert too_long((ROOT / "tests").rglob("*.py"), TEST_LINES) == {}


def test_job_scripts_are_short_enough_to_copy():
    assert too_long(ROOT.glob("jobs/*.py"), FUNCTION_LINES) == {}


def test_functions():
    """Their decorators, as of the commands, do not count."""
    sizes = {
        f"{module}.{function.name}": function.end_lineno - function.lineno + 1
        for module, tree in MODULES.items()
        for function in functions(tree)
    }
    assert {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES} == {}


def test_public_names_are_described():
    def undescribed(tree):
        kinds = (ast.FunctionDef, ast.ClassDef)
        public = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
        names = [node.name for node in public if not ast.get_docstring(node)]
        return names if ast.get_docstring(tree) else ["the module itself", *names]

    found = {module: undescribed(tree) for module, tree in MODULES.items()}
    assert {module: names for module, names in found.items() if names} == {}
