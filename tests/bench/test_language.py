"""scripts/bench language: what is told, and one run of the real thing in small."""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from _bench import language, language_report
from _bench.errors import BenchError
from _bench.language import Results, Trained, rows_of_shard

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"
RESULTS = Results(
    {
        "shards": 8, "batch": 16, "inner_steps": 125, "rounds": 32, "warm_epochs": 0,
        "context": 128, "rows": 8000,
        "model": {"lr": 0.002, "dropout": 0.1}, "inner_lr": 0.001,
        "outer": {"lr": 0.7, "momentum": 0.9}, "seed": 0, "device": "cpu",
    },
    parameters=1000,
    tokens=65_536_000,
    bytes_per_token=2.0,
    trained={
        "allreduce": Trained([[1e6, 2.0], [2e6, 1.0]], 128_000_000, 60.0),
        "local": Trained([[1e6, 2.5], [2e6, 1.015]], 1_024_000, 70.0),
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("available", "warm_epochs", "rows"),
    [
        (8240, 0, 8000),  # 515 batches: 500 divide 4,000
        (8000, 0, 8000),
        (7999, 0, 400 * 16),
        (100_000, 0, 4000 * 16),  # never more than there are steps for
        (100_000, 1, 2000 * 16),
        (8000, 2, 500 * 16),  # 1,000 steps are 8 rounds
        (7999, 2, 250 * 16),  # 800 were none
        (8000, 100, 20 * 16 + 5 * 16),
        (15, 0, 0),
    ],
)
def test_rows_that_all_steps_go_through_evenly(available, warm_epochs, rows):
    options = argparse.Namespace(batch_size=16, inner_steps=125, warm_epochs=warm_epochs)
    assert rows_of_shard(available, options, 4000) == rows


def test_the_table_counts_bytes():
    """Of 4,000 gradients and 32 rounds of 1,000 float32, by 8 workers."""
    table = language_report.table(RESULTS)
    assert "1.0150 (goal: at most 1.02: reached)" in table
    assert "125.0 (goal: at least 100: reached)" in table
    assert re.search(r"the lowest on the way +\| 1.0000 +\| 1.0150 +\| 1.0150 ", table)
    assert "0.7213" in table  # bits per byte: 1 / ln 2 / 2 bytes of a token
    # each of 8 in a ring: 2 × 7/8 × 4,000 bytes, 4,000 times; in rounds 2 × 4,000 bytes, 32 times
    assert "28,000,000" in table
    assert "256,000" in table
    assert "109.4 (goal: at least 100: reached)" in table


def test_a_goal_that_is_not_reached_says_so():
    worse = replace(RESULTS.trained["local"], curve=[[2e6, 1.03]], nbytes=2_000_000)
    table = language_report.table(
        replace(RESULTS, trained={"allreduce": RESULTS.trained["allreduce"], "local": worse})
    )
    assert "1.0300 (goal: at most 1.02: not reached)" in table
    assert "64.0 (goal: at least 100: not reached)" in table


def test_synchronous_training_of_an_earlier_run_counts_where_it_is_the_same(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(asdict(RESULTS)))
    now = replace(RESULTS, setting={**RESULTS.setting, "warm_epochs": 2, "rounds": 16})
    assert language.synchronous_of(path, now) == RESULTS.trained["allreduce"]
    other = replace(now, setting={**now.setting, "seed": 1}, tokens=5)
    with pytest.raises(BenchError, match="figures.json: seed, tokens differ from what is asked"):
        language.synchronous_of(path, other)


def test_both_curves_are_plotted(tmp_path):
    pytest.importorskip("matplotlib", reason="pip install -e .[bench]")
    language_report.plot(RESULTS, tmp_path / "images" / "a.svg")
    language_report.plot(RESULTS, tmp_path / "b.svg")
    drawn = (tmp_path / "images" / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    assert all(f"stroke: {look['color']}" in drawn for look in language_report.LOOKS.values())


def test_both_ways_go_through_the_same_tokens(tmp_path):
    figures = tmp_path / "figures.json"
    model = ("--context", "32", "--width", "16", "--layers", "1", "--heads", "2", "--warmup", "2")
    text = ("--bytes", "200000", "--vocabulary", "300")
    size = ("--batch-size", "4", "--inner-steps", "4", "--rounds", "4", "--warm-epochs", "1")
    where = ("--runner", "inline", "--threads", "1", "--work", tmp_path / "w")
    done = bench(*model, *text, *size, "--inner-lr", "1e-3", *where, "--json", figures)
    assert done.returncode == 0, done.stderr
    assert "bytes that 8 workers contribute" in done.stdout
    told = json.loads(figures.read_text())
    tokens = 16 * 4 * 32 * 8
    assert told["tokens"] == tokens
    curves = {name: one["curve"] for name, one in told["trained"].items()}
    assert [at for at, _ in curves["allreduce"]] == [tokens // 2, tokens]
    # an epoch of one worker, and two rounds
    assert [at for at, _ in curves["local"]] == [tokens // 2, tokens * 3 // 4, tokens]
    assert curves["local"][0] == curves["allreduce"][0]
    assert all(4 < loss < 5.8 for curve in curves.values() for _, loss in curve)
    # 16 gradients against 2 rounds; buckets have a few bytes more than their numbers
    nbytes = {name: one["nbytes"] for name, one in told["trained"].items()}
    assert nbytes["allreduce"] == told["parameters"] * 4 * 16 * 8
    assert nbytes["allreduce"] / nbytes["local"] == pytest.approx(8, rel=1e-3)
    again = bench("--figures", figures)
    assert again.stdout.split("|")[1:] == done.stdout.split("|")[1:]


def test_text_is_read_as_it_was_written(tmp_path):
    collector = language.load_module(language.LANGUAGE / "collect.py")
    rows = np.arange(16 * 5, dtype=np.int32).reshape(16, 5)
    made = collector.make_tokenizer(["some text"], 260)
    collector.write(rows, rows[:3], made, tmp_path, shards=8)
    train, held_out, tokenizer = language._read_text(tmp_path)
    assert tokenizer.to_str() == made.to_str()
    assert np.array_equal(train, rows)
    assert np.array_equal(held_out, rows[:3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "nowhere"], "expected what examples/language/collect.py writes"),
        (["--bytes", "3000"], "expected at least a batch of 4 for each of 8 shards"),
        (["--workers", "3"], "expected a divisor of a step's 32 windows"),
    ],
)
def test_wrong_usage(arguments, message):
    done = bench(*arguments, "--batch-size", 4)
    assert done.returncode == 2
    assert message in done.stderr


def bench(*arguments):
    """scripts/bench language with `arguments`."""
    command = [sys.executable, str(SCRIPT), "language", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)
