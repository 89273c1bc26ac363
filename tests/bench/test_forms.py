"""scripts/bench forms: distances, and one run of the real thing in small."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from _bench import forms, profiles

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


def bench(tmp_path, *words):
    """(the figures, what is printed) of scripts/bench."""
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, *words, "--json", str(figures)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(figures.read_text()), done.stdout


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
    told, printed = bench(
        tmp_path, "forms", "--model", "tabular", "--rows", "2000",
        "--forms", "bfloat16,auto", "--repeat", "1",
    )  # fmt: skip
    assert [run["system"] for run in told["runs"]] == [
        "bare-threads",
        "float32",
        "bfloat16",
        "auto",
    ]
    assert told["distances"]["float32"]["largest"] < 1e-5
    assert told["distances"]["bfloat16"]["largest"] > 1e-4
    assert "auto took" in printed


@pytest.mark.parametrize(
    ("operator", "group"),
    [
        ("aten::addmm", "linear layers"),
        ("mkldnn::_linear_pointwise", "linear layers"),
        ("quantized::linear_dynamic", "linear layers"),
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::native_layer_norm", "norms"),
        ("aten::gelu", "activations"),
        ("aten::_to_copy", "copies"),
        ("aten::add", "other operators"),
    ],
)
def test_the_group_of_an_operator(operator, group):
    assert profiles.group_of(operator) == group


def test_a_profile_says_where_the_time_goes(tmp_path):
    found, printed = bench(
        tmp_path, "profile", "--model", "tabular", "--rows", "20000", "--forms", "float32,int8"
    )
    for told, name in zip(found, ("float32", "int8"), strict=True):
        assert (told["form"], told["rows"]) == (name, 20_000)
        assert sum(told["groups"].values()) == pytest.approx(told["seconds"], rel=0.05)
        assert told["groups"]["linear layers"] > 0.05 * told["seconds"]
        assert f"\n{name}: " in printed
