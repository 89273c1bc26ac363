"""All metrics of a shard as records, and the records of all shards as results."""

import numpy as np
import pytest
import torch

from mrmodel.errors import MetricError
from mrmodel.metrics.collector import Collector, GroupMerge
from mrmodel.metrics.names import parse_metric
from mrmodel.metrics.results import group_result
from mrmodel.tensors.wire import group_of

SHARDS = ["00000000000000a1", "00000000000000b2", "00000000000000c3"]


def collector(
    shard=SHARDS[0], resamples=0, metrics=("mean_squared_error",), seed=0, resample="rows"
):
    return Collector([parse_metric(text) for text in metrics], resamples, seed, shard, resample)


def drawn(rows=300, seed=1):
    random = np.random.default_rng(seed)
    labels = random.normal(size=rows)
    return torch.from_numpy(labels + random.normal(size=rows)), torch.from_numpy(labels)


def results(collectors):
    """Group → result, merged in the order of the shards."""
    by_group = {}
    for one in collectors:
        for record in one.records():
            by_group.setdefault(record.group, []).append(record.value)
    return {group: group_result(values) for group, values in by_group.items()}


def test_all_rows_and_groups():
    predictions, labels = drawn()
    groups = ["é" if n % 3 else None for n in range(300)]
    parts = [collector(shard) for shard in SHARDS]
    for n, part in enumerate(parts):
        rows = slice(n * 100, (n + 1) * 100)
        part.add(predictions[rows], labels[rows], groups[rows])
    found = results(parts)
    squares = ((predictions - labels) ** 2).numpy()
    for name, expected in {"": squares, '"é"': squares[[g == "é" for g in groups]],
                           "null": squares[[g is None for g in groups]]}.items():  # fmt: skip
        result = found[group_of(name)]
        assert result["rows"] == len(expected)
        assert result["shards"] == 3
        assert result["metrics"][0]["value"] == pytest.approx(expected.mean(), rel=1e-6)
    assert sorted(str(r["group"]) for r in found.values() if not r["overall"]) == ["None", "é"]


def test_several_metrics_keep_their_names():
    part = collector(metrics=("accuracy", "accuracy:task=multiclass,num_classes=5,average=macro"))
    part.add(torch.tensor([1, 2, 3]), torch.tensor([1, 2, 4]))
    (result,) = results([part]).values()
    assert [m["name"] for m in result["metrics"]] == ["accuracy", "accuracy"]
    assert result["metrics"][0]["value"] == pytest.approx(2 / 3)
    assert result["metrics"][1]["text"].endswith("average=macro")


def test_a_vector_is_a_list_and_nothing_to_measure_is_none():
    part = collector(metrics=("f1_score:task=multiclass,num_classes=3,average=none", "r2_score"))
    part.add(torch.tensor([0, 1]), torch.tensor([0, 1]))
    part = collector(metrics=("confusion_matrix:task=binary",))
    part.add(torch.tensor([0, 1]), torch.tensor([0, 0]))
    (result,) = results([part]).values()
    assert result["metrics"][0]["value"] == [[1.0, 1.0], [0.0, 0.0]]
    part = collector(metrics=("pearson_corr_coef",))
    part.add(torch.ones(3), torch.ones(3))
    (result,) = results([part]).values()
    assert result["metrics"][0]["value"] is None


def test_the_bootstrap_s_interval_holds_what_theory_says():
    """The mean of 1,000 squares of normal numbers has a standard error of sqrt(2 / 1000)."""
    random = np.random.default_rng(5)
    predictions = torch.from_numpy(random.normal(size=1000))
    parts = [collector(shard, resamples=400) for shard in SHARDS[:2]]
    for part, rows in zip(parts, (slice(0, 300), slice(300, 1000)), strict=True):
        part.add(predictions[rows], torch.zeros(1000, dtype=torch.float64)[rows])
    (result,) = results(parts).values()
    (metric,) = result["metrics"]
    width = metric["high"] - metric["low"]
    assert metric["low"] < metric["value"] < metric["high"]
    assert width == pytest.approx(2 * 1.96 * (2 / 1000) ** 0.5, rel=0.2)


def test_the_bootstrap_depends_on_seed_and_shard_alone():
    def state(seed, shard):
        part = collector(shard, resamples=3, seed=seed)
        part.add(*drawn())
        return part.records()[0].value

    assert state(0, SHARDS[0]) == state(0, SHARDS[0])
    assert state(0, SHARDS[0]) != state(1, SHARDS[0])
    assert state(0, SHARDS[0]) != state(0, SHARDS[1])


def test_a_resample_without_rows_does_no_harm():
    part = collector(resamples=50)
    part.add(torch.tensor([1.0]), torch.tensor([0.0]))
    (result,) = results([part]).values()
    assert result["metrics"][0] == {"name": "mean_squared_error", "text": "mean_squared_error",
                                    "value": 1.0, "low": 1.0, "high": 1.0}  # fmt: skip


def test_resamples_without_rows_are_left_out():
    """Of a shard that is in 63 % of the resamples, the others would have an accuracy of 0."""
    parts = [collector(shard, 50, ("accuracy",), resample="shards") for shard in SHARDS[:2]]
    for part in parts:
        part.add(torch.tensor([1, 0]), torch.tensor([1, 0]), ["x", "x"])
    for result in results(parts).values():
        (metric,) = result["metrics"]
        assert (metric["value"], metric["low"], metric["high"]) == (1.0, 1.0, 1.0)


def test_one_shard_has_no_interval():
    part = collector(resamples=20, resample="shards")
    part.add(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]))
    (result,) = results([part]).values()
    assert result["metrics"][0] == {"name": "mean_squared_error", "text": "mean_squared_error",
                                    "value": 2.5, "low": None, "high": None}  # fmt: skip
    part = collector(resamples=20, resample="shards", metrics=("confusion_matrix:task=binary",))
    part.add(torch.tensor([0, 1]), torch.tensor([0, 0]))
    (result,) = results([part]).values()
    assert result["metrics"][0]["low"] == [[None, None], [None, None]]


def test_shards_travel_without_their_resamples():
    def size(resamples, resample):
        part = collector(resamples=resamples, resample=resample)
        part.add(*drawn())
        return len(part.records()[0].value)

    assert size(500, "shards") < size(0, "rows") + 4000 < size(500, "rows") / 10


def test_labels_out_of_range_are_named():
    part = collector(metrics=("accuracy:task=multiclass,num_classes=3",))
    with pytest.raises(MetricError, match="labels hold class 7, but there are 3 classes, 0 to 2"):
        part.add(torch.tensor([0, 1]), torch.tensor([0, 7]))
    with pytest.raises(MetricError, match=r"labels are float32 .*expected classes, whole numbers"):
        part.add(torch.tensor([0, 1]), torch.tensor([0.0, 1.5]))
    part = collector(metrics=("accuracy:task=multiclass,num_classes=3,ignore_index=-1",))
    part.add(torch.tensor([0, 1]), torch.tensor([0, -1]))


def test_what_does_not_fit_a_metric_is_described():
    part = collector(metrics=("mean_squared_error",))
    with pytest.raises(
        MetricError, match=r"predictions are float32 \(2, 3\) .*labels int64 \(2,\) "
    ):
        part.add(torch.rand(2, 3), torch.tensor([0, 1]))


def test_shards_that_measure_something_else_are_not_merged():
    a, b = collector(metrics=("accuracy",)), collector(SHARDS[1], metrics=("accuracy",))
    a.add(torch.rand(4, 3), torch.tensor([0, 1, 2, 0]))
    b.add(torch.rand(4, 5), torch.tensor([0, 1, 2, 0]))
    merge = GroupMerge()
    merge.add(a.records()[0].value)
    with pytest.raises(MetricError, match="shards do not measure the same thing"):
        merge.add(b.records()[0].value)
