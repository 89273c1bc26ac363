"""The network that is trained: its steps take milliseconds, so that training is what costs."""

import torch
from torch import nn

FEATURES = 256
CLASSES = 10


class Classifier(nn.Module):
    """256 numbers in, 10 classes out, with Lightning's names."""

    inputs = ["features"]

    def __init__(self, hidden=512):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, CLASSES),
        )  # fmt: skip

    def forward(self, features):
        return self.layers(features)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch["features"]), batch["label"])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)
