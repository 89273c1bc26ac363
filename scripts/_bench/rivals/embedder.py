"""MiniLM in plain torch, as the user of any system has to write it. Counts in each of them."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer


class Embedder:
    """Texts in, their embeddings out: token vectors averaged and scaled to length 1."""

    def __init__(self, weights, batch_size, by_length):
        torch.set_num_threads(1)
        config = json.loads((Path(weights) / "sentence_bert_config.json").read_text())
        self.longest = config["max_seq_length"]
        self.batch_size, self.by_length = batch_size, by_length
        self.tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self.model = AutoModel.from_pretrained(weights, local_files_only=True).eval()

    def __call__(self, texts):
        ids = self.tokenizer(texts, truncation=True, max_length=self.longest)["input_ids"]
        order = list(range(len(ids)))
        if self.by_length:
            order.sort(key=lambda i: -len(ids[i]))
        out = np.empty((len(ids), self.model.config.hidden_size), dtype=np.float32)
        for begin in range(0, len(order), self.batch_size):
            rows = order[begin : begin + self.batch_size]
            out[rows] = self.forward([ids[i] for i in rows])
        return out

    @torch.inference_mode()
    def forward(self, ids):
        batch = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        vectors = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(2).float()
        mean = (vectors * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1).numpy()
