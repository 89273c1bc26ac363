#!/usr/bin/env python3
"""The bare loop: what a good engineer writes by hand, without mrmodel.

    python scripts/_bench/bare.py embed rows-0.parquet --out out.parquet --weights FOLDER

Reads with pyarrow, sorts by length inside the windows that mrmodel uses, one thread for
everything but torch's own; prints its clock as one JSON line.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from _bench.rivals import common

WINDOW_ROWS = 8192


class Clock:
    """Seconds per phase: ``clock.lap("read")`` counts what passed since the last lap."""

    def __init__(self):
        self.seconds = dict.fromkeys(("read", "prepare", "forward", "write"), 0.0)
        self._last = time.perf_counter()

    def lap(self, phase):
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
        if phase == "forward":
            common.first_batch()


class Embed:
    """MiniLM: tokenise a window, sort it by length, pad batch by batch, put the order back."""

    columns = ("text",)

    def __init__(self, weights, batch_size):
        from transformers import AutoModel, AutoTokenizer

        self.batch_size = batch_size
        self.tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self.model = AutoModel.from_pretrained(weights, local_files_only=True).eval()
        config = Path(weights) / "sentence_bert_config.json"
        self.longest = json.loads(config.read_text())["max_seq_length"] if config.exists() else 512

    def __call__(self, window, clock):
        texts = window.column("text").to_pylist()
        ids = self.tokenizer(texts, truncation=True, max_length=self.longest)["input_ids"]
        order = np.argsort([-len(row) for row in ids], kind="stable")
        out = np.empty((len(ids), self.model.config.hidden_size), dtype=np.float32)
        clock.lap("prepare")
        for begin in range(0, len(order), self.batch_size):
            rows = order[begin : begin + self.batch_size]
            out[rows] = self.embed([ids[i] for i in rows])
            clock.lap("forward")
        flat = pa.array(out.reshape(-1))
        return {"embedding": pa.FixedSizeListArray.from_arrays(flat, out.shape[1])}

    def embed(self, ids):
        padded = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in ids],
            batch_first=True,
            padding_value=self.tokenizer.pad_token_id,
        )
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        vectors = self.model(input_ids=padded, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(2).float()
        mean = (vectors * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(mean, dim=1).numpy()


class Digits:
    """The digits' CNN."""

    columns = ("pixels",)

    def __init__(self, weights, batch_size):
        from _bench.workloads import DIGITS, load_module

        self.batch_size = batch_size
        self.model = load_module(DIGITS / "model.py").DigitsCNN().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, window, clock):
        pixels = window.column("pixels").flatten().to_numpy().reshape(window.num_rows, -1)
        pixels = torch.from_numpy(pixels.copy())
        clock.lap("prepare")
        found = [
            self.model(batch).softmax(1).max(1) for batch in torch.split(pixels, self.batch_size)
        ]
        confidence = torch.cat([values for values, _ in found]).numpy()
        digit = torch.cat([indices for _, indices in found]).numpy()
        clock.lap("forward")
        return {"digit": pa.array(digit), "confidence": pa.array(confidence)}


class Tabular:
    """The MLP over 30 columns of numbers."""

    columns = tuple(f"f{i}" for i in range(30))

    def __init__(self, weights, batch_size):
        from _bench.mlp import MLP

        self.batch_size = batch_size
        self.model = MLP().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, window, clock):
        features = np.stack([window.column(name).to_numpy() for name in self.columns], axis=1)
        features = torch.from_numpy(features)
        clock.lap("prepare")
        found = [self.model(batch) for batch in torch.split(features, self.batch_size)]
        found = torch.cat(found).numpy()
        clock.lap("forward")
        return {"output": pa.array(found)}


class Images:
    """The residual network: decode a batch, predict it."""

    columns = ("jpeg",)

    def __init__(self, weights, batch_size):
        from _bench.resnet import ResNet

        self.batch_size = batch_size
        self.model = ResNet().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, window, clock):
        from _bench.resnet import decode

        jpegs, found = window.column("jpeg").to_pylist(), []
        for begin in range(0, len(jpegs), self.batch_size):
            images = np.stack([decode(jpeg) for jpeg in jpegs[begin : begin + self.batch_size]])
            clock.lap("prepare")
            found.append(self.model(torch.from_numpy(images)).numpy())
            clock.lap("forward")
        out = np.concatenate(found)
        flat = pa.array(out.reshape(-1))
        return {"output": pa.FixedSizeListArray.from_arrays(flat, out.shape[1])}


MODELS = {"embed": Embed, "digits": Digits, "tabular": Tabular, "images": Images}


def predict(model, files, out, clock):
    """All rows of `files` through `model` into the Parquet file `out`; how many there were."""
    writer, rows = None, 0
    columns = ["id", *model.columns]
    for file in files:
        reader = pq.ParquetFile(file)
        for window in reader.iter_batches(WINDOW_ROWS, columns=columns, use_threads=False):
            clock.lap("read")
            found = {"id": window.column("id"), **model(window, clock)}
            batch = pa.RecordBatch.from_pydict(found)
            writer = writer or pq.ParquetWriter(out, batch.schema)
            writer.write_batch(batch)
            rows += window.num_rows
            clock.lap("write")
    if writer:
        writer.close()
    clock.lap("write")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        model = MODELS[options.model](options.weights, options.batch_size)
        loaded, clock = time.time(), Clock()
        rows = predict(model, options.files, options.out, clock)
    told = {"rows": rows, "loaded": loaded, "finished": time.time(), "seconds": clock.seconds}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
