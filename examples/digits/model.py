"""A small convolutional network that reads handwritten digits of 8 × 8 pixels."""

import safetensors.torch
import torch
from torch import nn

import mrmodel


class DigitsCNN(nn.Module):
    """Pixels (rows, 64), 0 to 16, in; one score per digit (rows, 10) out."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(32 * 4 * 4, 10),
        )

    def forward(self, pixels):
        return self.layers(pixels.reshape(-1, 1, 8, 8) / 16)


class Digits(mrmodel.Predictor):
    """The digit in each image, and the network's confidence in it (0 to 1)."""

    inputs = ["pixels"]

    def load(self, weights, device):
        self.device = device
        self.network = DigitsCNN().to(device).eval()
        self.network.load_state_dict(safetensors.torch.load_file(weights, device=device))

    def predict(self, batch):
        pixels = torch.tensor(batch["pixels"], device=self.device)
        confidence, digit = self.network(pixels).softmax(1).max(1)
        return {"digit": digit, "confidence": confidence}
