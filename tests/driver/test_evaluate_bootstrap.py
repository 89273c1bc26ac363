"""Intervals by resamples of whole shards, against the same by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

import mrmodel
from mrmodel.errors import UsageError
from tests.driver.helpers import Listener, model, names

FILES, ROWS, RESAMPLES = 14, 40, 200
MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def predict(self, batch):
            return {"y": batch["x"]}
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A file per site: what all rows of a site have in common is most of their error."""
    folder = tmp_path_factory.mktemp("lake")
    (folder / "in").mkdir()
    random = np.random.default_rng(4)
    for number in range(FILES):
        rows = ROWS + number
        x = random.random(rows)
        truth = x + random.normal() + random.normal(size=rows) / 5
        columns = {
            "x": x,
            "truth": truth,
            "is": (x + random.normal() + random.normal(size=rows) > 0.5).astype(int),
            # "rare" is in one file, "some" in three, "most" in all
            "g": [["most", "some" if number < 3 else "most", "most"][n % 3] for n in range(rows)],
        }
        if number == 5:
            columns["g"][0] = "rare"
        pq.write_table(pa.table(columns), folder / "in" / f"{number:02d}.parquet")
    model(folder, MODEL)
    return folder


def evaluate(lake, metric="mean_squared_error", files="*.parquet", **options):
    options = {"label": "truth", "shard_size": "1", "bootstrap": RESAMPLES, **options}
    options.setdefault("resample", "shards")
    rows = lake / "in" / files
    return mrmodel.evaluate(f"{lake}/model.py:Model", rows, metrics=metric, **options)


def by_hand(run, group=None, seed=0):
    """The 95 % interval of the mean squared error, from the weights of the run's shards."""
    sums, rows, often = [], [], []
    for record in run.shards:
        table = pa.concat_tables(pq.read_table(piece["uri"]) for piece in record["pieces"])
        mine = [group in (None, g) for g in table["g"].to_pylist()]
        errors = (table["x"].to_numpy() - table["truth"].to_numpy())[mine] ** 2
        sums.append(errors.sum())
        rows.append(len(errors))
        random = np.random.default_rng([seed, int(record["shard"], 16)])
        often.append(random.poisson(1.0, RESAMPLES))
    often = np.array(often).T
    rows = often @ rows
    return np.percentile((often @ sums)[rows > 0] / rows[rows > 0], [2.5, 97.5])


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_equal_to_the_same_by_hand(lake, runner):
    run = evaluate(lake, runner=runner, group_by="g", seed=3)
    assert len(run.shards) == FILES
    found = {measure["group"]: measure["metrics"][0] for measure in run.measures}
    assert list(found) == [None, "most", "rare", "some"]
    for group in (None, "most", "some"):
        interval = [found[group]["low"], found[group]["high"]]
        assert interval == pytest.approx(by_hand(run, group, seed=3), rel=1e-5)
    assert found["rare"]["value"] is not None
    assert found["rare"]["low"] is found["rare"]["high"] is None


def test_without_groups(lake):
    run = evaluate(lake)
    (measure,) = run.measures
    interval = [measure["metrics"][0]["low"], measure["metrics"][0]["high"]]
    assert interval == pytest.approx(by_hand(run), rel=1e-5)


def test_metrics_that_keep_rows(lake):
    """A state that grows: rows of a shard that is drawn twice are there twice."""
    run = evaluate(lake, "auroc:task=binary", label="is")
    often = [np.random.default_rng([0, int(r["shard"], 16)]).poisson(1.0, 200) for r in run.shards]
    tables = [pq.read_table(record["pieces"][0]["uri"]) for record in run.shards]
    found = []
    for counts in np.array(often).T:
        rows = pa.concat_tables(t for t, n in zip(tables, counts, strict=True) for _ in range(n))
        x, truth = torch.from_numpy(rows["x"].to_numpy()), torch.tensor(rows["is"].to_pylist())
        found.append(binary_auroc(x, truth).item())
    (metric,) = run.measures[0]["metrics"]
    assert [metric["low"], metric["high"]] == pytest.approx(
        np.percentile(found, [2.5, 97.5]), rel=1e-5
    )


def test_rows_that_are_alike_give_a_wider_interval(lake):
    widths = {}
    for resample in ("rows", "shards"):
        (metric,) = evaluate(lake, resample=resample).measures[0]["metrics"]
        widths[resample] = metric["high"] - metric["low"]
    assert widths["shards"] > 2 * widths["rows"]


def test_few_shards_are_told(lake, monkeypatch):
    said = Listener()
    monkeypatch.setattr("mrmodel.api.Watcher", lambda: said)
    evaluate(lake, files="0[0-3].parquet")
    assert len(said.said) == 1
    assert "the intervals come from 4 shards, and are most often too narrow" in said.said[0]
    said.said.clear()
    evaluate(lake, group_by="g")
    assert len(said.said) == 1
    assert "fewer than 10 shards have rows of rare, some: such intervals" in said.said[0]
    said.said.clear()
    evaluate(lake, resample="rows", files="0[0-3].parquet", bootstrap=2, group_by="g")
    assert said.said == []


def test_one_shard_is_refused(lake):
    before = names(lake)
    with pytest.raises(UsageError, match="the input is one shard, which has no spread"):
        evaluate(lake, files="00.parquet", output=lake / "out")
    assert names(lake) == before


def test_what_is_drawn_must_be_known(lake):
    with pytest.raises(UsageError, match="--resample files: expected rows or shards"):
        evaluate(lake, resample="files")
    with pytest.raises(UsageError, match="--resample shards needs --bootstrap N"):
        evaluate(lake, bootstrap=0)
