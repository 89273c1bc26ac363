"""The network of `scripts/bench equal`: small, smooth, and without randomness."""

import torch


class Mlp(torch.nn.Module):
    """`width` numbers in, `outputs` logits out; one number where that is 1."""

    def __init__(self, width, outputs, hidden=16):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(width, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, outputs)
        )

    def forward(self, x):
        return self.layers(x).squeeze(-1)
