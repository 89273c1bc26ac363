"""The tree of errors at the top of its module is the truth."""

import re

import pytest

from mrmodel import errors
from mrmodel.errors import JobError, MrmodelError, by_name

LINE = re.compile(r"^(?P<bars>[│├└─ ]*)(?P<name>\w+Error)\s+(?:exit code )?(?P<code>\d+)\b")
TREE = [match for match in map(LINE.match, errors.__doc__.splitlines()) if match]
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


def test_the_tree_is_complete():
    assert sorted(match["name"] for match in TREE) == sorted(CLASSES)


def test_exit_codes():
    assert {m["name"]: int(m["code"]) for m in TREE} == {
        name: kind.exit_code for name, kind in CLASSES.items()
    }


def test_parents():
    above = {}
    for match in TREE:
        depth = len(match["bars"]) // 4
        above[depth] = match["name"]
        parent = above[depth - 1] if depth else "Exception"
        assert [base.__name__ for base in CLASSES[match["name"]].__bases__] == [parent]


@pytest.mark.parametrize("name", CLASSES)
def test_found_by_name(name):
    assert by_name(name) is CLASSES[name]
    error = by_name(name)("what", "more")
    assert (str(error), error.message, error.detail) == ("what", "what", "more")


@pytest.mark.parametrize("name", ["", "ValueError", "by_name", "Exception", "__doc__", "os"])
def test_anything_else_is_a_job_error(name):
    assert by_name(name) is JobError


def test_detail_may_be_left_out():
    assert MrmodelError("what").detail == ""
