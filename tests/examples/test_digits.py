"""The digits example: its data, its committed weights and what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
HELD_OUT_ACCURACY = 0.9944  # 357 of 359, as README.md says


@pytest.fixture(scope="module")
def rows():
    return ds.dataset(DIGITS / "data").to_table().sort_by("id")


@pytest.fixture(scope="module")
def predicted(rows, load_example):
    """What the committed weights say about every row."""
    predictor = load_example("digits/model.py").Digits()
    predictor.load(DIGITS / "digits.safetensors", "cpu")
    pixels = rows["pixels"].combine_chunks().flatten().to_numpy().reshape(-1, 64)
    with torch.inference_mode():
        return predictor.predict({"pixels": pixels})


def test_committed_data_is_what_make_data_exports(rows, load_example):
    exported = load_example("digits/make_data.py").digits_table()
    assert rows.equals(exported)


def test_data_has_1797_rows_in_four_files(rows):
    files = sorted((DIGITS / "data").glob("*.parquet"))
    assert [pq.read_metadata(path).num_rows for path in files] == [449, 449, 449, 450]
    assert rows["id"].to_pylist() == list(range(1797))
    assert rows.schema.field("pixels").type == pa.list_(pa.float32(), 64)


def test_every_fifth_row_is_held_out(rows):
    assert [s == "test" for s in rows["split"].to_pylist()] == [i % 5 == 4 for i in range(1797)]


def test_committed_weights_reach_the_stated_held_out_accuracy(rows, predicted):
    right = predicted["digit"].numpy() == rows["label"].to_numpy()
    held_out = np.array(rows["split"]) == "test"
    assert held_out.sum() == 359
    assert right[held_out].mean() == pytest.approx(HELD_OUT_ACCURACY, abs=5e-5)


def test_readme_states_the_accuracy_that_is_tested():
    assert f"{HELD_OUT_ACCURACY}" in (DIGITS.parents[1] / "README.md").read_text()


def test_predictor_returns_a_digit_and_its_confidence(predicted):
    assert predicted["digit"].dtype == torch.int64
    assert predicted["confidence"].dtype == torch.float32
    assert predicted["digit"].shape == predicted["confidence"].shape == (1797,)
    assert 0.1 <= predicted["confidence"].min() <= predicted["confidence"].max() <= 1


def write_output(folder, rows, predicted):
    """An output folder as mrmodel predict leaves it."""
    (folder / "_mrmodel").mkdir(parents=True)
    table = rows.drop_columns(["pixels"])
    for name, values in predicted.items():
        table = table.append_column(name, pa.array(values.numpy()))
    pq.write_table(table, folder / "part-00000.parquet")
    run = {
        "rows": {"in": 1797, "ok": 1797, "bad": 0},
        "seconds": {"total": 2.0, "forward": 0.5},
        "runner": "inline",
    }
    (folder / "_mrmodel" / "run.json").write_text(json.dumps(run))
    (folder / "_SUCCESS").touch()


def show(folder):
    command = [sys.executable, str(DIGITS / "show.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_show_prints_table_accuracy_summary_and_place(tmp_path, rows, predicted):
    output = tmp_path / "with space"
    write_output(output, rows, predicted)
    text = show(output).stdout
    assert text.splitlines()[0].split() == ["id", "label", "digit", "confidence"]
    assert "held-out rows  357 of 359 right: accuracy 0.9944" in text
    assert "1797 in, 1797 ok, 0 bad" in text
    assert str(output.resolve()) in text


def test_show_refuses_an_unfinished_output(tmp_path):
    shown = show(tmp_path)
    assert shown.returncode == 1
    assert "_SUCCESS" in shown.stderr
    assert "Traceback" not in shown.stderr
