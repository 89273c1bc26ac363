"""A job as a value."""

import json

import pytest

from mrmodel.errors import UsageError
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec

SPECS = [
    ModelSpec("m.py:Net", {"sizes": [1, 2], "deep": {"a": None}}, "w.pt", ("a.py", "b"), "cpu"),
    DataSpec(("a b", "é,{}"), "csv", ("x",), (), {"x": "int64"}, (4, 5)),
    OutputSpec("out", "jsonl", "2%", overwrite=True),
    ExecutionSpec("local", "64", workers=3, jobconf={"a.b": "c"}, mrjob_args=("-v",)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_travels_as_json(spec):
    assert type(spec).from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_cannot_be_changed(spec):
    with pytest.raises(AttributeError):
        spec.uri = "other"


def test_unknown_keys_are_refused_with_those_there_are():
    with pytest.raises(UsageError, match="unknown key 'colour': expected one of format, max_bad"):
        OutputSpec.from_dict({"uri": "out", "colour": "red"})
