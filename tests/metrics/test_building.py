"""What can be measured, and what people are told of what cannot."""

import pytest
import torch

from mrmodel.errors import UsageError
from mrmodel.metrics.building import build, check, completed
from mrmodel.metrics.names import MetricSpec, parse_metric


def test_a_function_is_averaged_over_rows(tmp_path):
    (tmp_path / "own.py").write_text(
        "def off(predictions, labels, scale=1):\n    return (predictions - labels).abs() * scale\n"
    )
    metric = build(parse_metric(f"{tmp_path}/own.py:off:scale=2"))
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    metric.update(torch.tensor([4.0]), torch.tensor([1.0]))
    assert metric.compute().item() == pytest.approx(8 / 3)


def test_a_function_must_return_a_number_per_row(tmp_path):
    (tmp_path / "own2.py").write_text("def one(predictions, labels):\n    return 1.0\n")
    metric = build(parse_metric(f"{tmp_path}/own2.py:one"))
    with pytest.raises(ValueError, match=r"a number for each of 2 rows but received shape \(\)"):
        metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))


def test_a_class_of_the_users(tmp_path):
    (tmp_path / "own3.py").write_text(
        "import torchmetrics\nclass Own(torchmetrics.SumMetric):\n    pass\n"
    )
    assert build(parse_metric(f"{tmp_path}/own3.py:Own")).__class__.__name__ == "Own"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mean_squared_error:scale=2", "--metric mean_squared_error:scale=2: .*scale"),
        ("accuracy:task=multiclass", "num_classes"),
        ("accuracy:task=ternary,num_classes=3", "task"),
        ("PeakSignal", "expected a metric of torchmetrics"),
    ],
)
def test_what_is_refused_before_anything_runs(text, problem):
    with pytest.raises(UsageError, match=problem):
        check(parse_metric(text))


def test_a_mean_without_its_weight_cannot_be_merged(tmp_path):
    (tmp_path / "own4.py").write_text(
        "import torch, torchmetrics\n"
        "class Own(torchmetrics.Metric):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.add_state('middle', torch.tensor(0.0), dist_reduce_fx='mean')\n"
        "    def update(self, predictions, labels): pass\n"
        "    def compute(self): return self.middle\n"
    )
    with pytest.raises(UsageError, match="merged over shards exactly: its state middle is a mean"):
        check(parse_metric(f"{tmp_path}/own4.py:Own"))


PROBABILITIES = torch.rand(7, 4)


@pytest.mark.parametrize(
    ("text", "predictions", "args"),
    [
        ("f1_score", PROBABILITIES, {"task": "multiclass", "num_classes": 4}),
        ("f1_score:average=macro", PROBABILITIES,
         {"task": "multiclass", "num_classes": 4, "average": "macro"}),
        ("auroc", torch.rand(7), {"task": "binary"}),
        ("accuracy", torch.arange(7), {"num_classes": None, "average": "micro"}),
        ("f1_score:task=binary", PROBABILITIES, {"task": "binary"}),
        ("mean_squared_error", PROBABILITIES, {}),
    ],
)  # fmt: skip
def test_predictions_tell_the_task(text, predictions, args):
    spec = completed(parse_metric(text), predictions)
    assert spec.args == args
    assert spec.name == parse_metric(text).name
    build(spec)


def test_whole_numbers_do_not_tell_how_many_classes_there_are():
    with pytest.raises(UsageError, match="give|f1_score:task=multiclass,num_classes=10"):
        completed(MetricSpec("f1_score"), torch.arange(7))
