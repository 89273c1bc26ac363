"""How metrics are written on the command line."""

import pytest

from mrmodel.errors import UsageError
from mrmodel.metrics.names import MetricSpec, find_metric, parse_metric


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("accuracy", MetricSpec("accuracy")),
        (
            "Accuracy:task=multiclass,num_classes=10",
            MetricSpec("Accuracy", {"task": "multiclass", "num_classes": 10}),
        ),
        ("f:a=0.5,b=true,c=null,d=None,e=none", MetricSpec(
            "f", {"a": 0.5, "b": True, "c": None, "d": None, "e": "none"})),
        ("f:thresholds=[0.1, 0.5],k=1", MetricSpec("f", {"thresholds": [0.1, 0.5], "k": 1})),
        ("a b/m.py:Own", MetricSpec("a b/m.py:Own")),
        ("m.py:Own:k=v", MetricSpec("m.py:Own", {"k": "v"})),
        ("package.module:Own", MetricSpec("package.module:Own")),
    ],
)  # fmt: skip
def test_what_is_understood(text, spec):
    assert parse_metric(text) == spec
    assert MetricSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("text", ["", ":k=v", "f:k", "f:=v", "m.py", "m.py:"])
def test_what_is_not(text):
    with pytest.raises(UsageError, match="expected NAME or NAME:k=v"):
        parse_metric(text)


def test_a_spec_is_told_as_it_was_written():
    text = "F1Score:task=multiclass,num_classes=10,ignore_index=null"
    assert parse_metric(text).text == text


@pytest.mark.parametrize("name", ["MeanSquaredError", "mean_squared_error", "mean-squared-error"])
def test_classes_by_their_names_or_as_words(name):
    assert find_metric(MetricSpec(name)).__name__ == "MeanSquaredError"


@pytest.mark.parametrize("name", ["RetrievalMAP", "WordErrorRate", "MulticlassF1Score", "CramersV"])
def test_metrics_of_every_kind_are_found(name):
    assert find_metric(MetricSpec(name)).__name__ == name


def test_near_misses_are_named():
    with pytest.raises(UsageError, match=r"of torchmetrics, such as .*did you mean .*Accuracy"):
        find_metric(MetricSpec("acuracy"))
