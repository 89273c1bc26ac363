"""A small GPT, with Lightning's names: `mrmodel train examples/language/model.py:GPT`.

About 2.2 million parameters as it is. The learning rate is that of each step, warm-up and cosine,
wherever the steps are taken: all at once, or some in each round of `--sync local`.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class GPT(nn.Module):
    """Decoder-only transformer (pre-norm, no biases). `steps` is how many are taken in all, `begun`
    how many of them before this training; `lr` the learning rate at its highest, which is reached
    in `warmup` steps. `dropout` is a share of what each layer adds."""

    inputs = ["tokens"]

    def __init__(
        self, vocabulary=4096, context=64, width=128, layers=6, heads=4, steps=4000, warmup=200,
        lr=2e-3, decay=0.1, dropout=0.0, begun=0,
    ):  # fmt: skip
        super().__init__()
        self.schedule = {"steps": steps, "warmup": warmup, "peak": lr, "begun": begun}
        self.decay = decay
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # what is added to the residual stream, twice in each block
                is_last = name.endswith("out.weight")
                std = 0.02 / math.sqrt(2 * layers) if is_last else 0.02
                nn.init.normal_(parameter, std=std)

    def forward(self, tokens):
        """The logits of what follows each of `tokens` (rows, context)."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    def training_step(self, batch, batch_idx):
        """The mean loss over all positions of the windows."""
        tokens = batch["tokens"].long()
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=tokens.is_cuda):
            logits = self(tokens[:, :-1])
        return functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())

    def configure_optimizers(self):
        """AdamW; only matrices decay."""
        matrices = [p for p in self.parameters() if p.ndim == 2]
        others = [p for p in self.parameters() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return ScheduledAdamW(groups, betas=(0.9, 0.95), **self.schedule)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each beside the residual stream."""

    def __init__(self, width, heads, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        rows, length, width = x.shape
        qkv = self.qkv(self.norms[0](x)).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.attention_out(y.transpose(1, 2).reshape(rows, length, width)))
        return x + self.dropout(self.mlp_out(functional.gelu(self.wide(self.norms[1](x)))))


class ScheduledAdamW(torch.optim.AdamW):
    """AdamW whose learning rate falls from `peak` to nothing, as a cosine, until `steps` are taken;
    it rises to that in the first `warmup` steps, or in those after `begun` ones. How many were
    taken is part of its state: whoever goes on with it needs to know."""

    def __init__(self, groups, steps, warmup, peak, begun, **options):
        super().__init__(groups, lr=peak, **options)
        self.steps, self.warmup, self.peak, self.begun = steps, warmup, peak, begun
        for group in self.param_groups:
            group["taken"] = begun

    def rate(self, taken):
        """The learning rate after `taken` steps."""
        rise = min(1.0, (taken - self.begun + 1) / max(1, self.warmup))
        done = min(1.0, max(0, taken - self.warmup) / max(1, self.steps - self.warmup))
        return self.peak * rise * 0.5 * (1 + math.cos(math.pi * done))

    def step(self, closure=None):
        """One step, at the rate that is its due."""
        for group in self.param_groups:
            group["lr"] = self.rate(group["taken"])
            group["taken"] += 1
        return super().step(closure)
