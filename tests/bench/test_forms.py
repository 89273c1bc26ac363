"""scripts/bench forms: distances, and one run of the real thing in small."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from _bench import forms

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


def rows(*vectors, ids=None):
    vectors = [list(map(float, vector)) for vector in vectors]
    column = pa.array(vectors, pa.list_(pa.float32(), len(vectors[0])))
    return pa.table({"id": ids or list(range(len(vectors))), "x": column})


def test_distance_is_of_the_row_that_is_farthest():
    found = forms.distance(rows([1, 0], [3, 4]), rows([1, 0], [3, 3]))
    assert found.largest == pytest.approx(1 / 5)
    assert found.cosine == pytest.approx(21 / (5 * math.sqrt(18)))
    assert found.mean_cosine == pytest.approx((1 + found.cosine) / 2)


def test_a_single_number_has_no_cosine():
    found = forms.distance(rows([2]), rows([1]))
    assert found.largest == 0.5
    assert math.isnan(found.cosine)


def test_other_rows_are_not_compared():
    with pytest.raises(ValueError, match="not the same rows"):
        forms.distance(rows([1], [2]), rows([1], [2], ids=[0, 2]))


def test_forms_are_held_against_float32(tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, SCRIPT, "forms", "--model", "tabular", "--rows", "2000"),
            *("--forms", "bfloat16,auto", "--repeat", "1", "--json", str(figures)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())
    assert [run["system"] for run in told["runs"]] == [
        "bare-threads",
        "float32",
        "bfloat16",
        "auto",
    ]
    assert told["distances"]["float32"]["largest"] < 1e-5
    assert told["distances"]["bfloat16"]["largest"] > 1e-4
    assert "auto took" in done.stdout
