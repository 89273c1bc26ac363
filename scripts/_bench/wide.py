"""The model of `scripts/bench scaling`: as many columns, and as wide, as it is told."""

import torch
from torch import nn

LAYERS = 3


class Wide(nn.Module):
    """`inputs` numbers in, three hidden layers of `width`, one number out."""

    def __init__(self, inputs, width):
        super().__init__()
        layers = []
        for before in (inputs, *[width] * (LAYERS - 1)):
            layers += [nn.Linear(before, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, features):
        return self.layers(features).squeeze(1)


def parameters(inputs, width):
    """How many numbers the model has."""
    return (inputs + 1) * width + (LAYERS - 1) * (width + 1) * width + width + 1


def flops(inputs, width):
    """Floating-point operations of a row: a multiplication and an addition for each weight."""
    return 2 * (inputs * width + (LAYERS - 1) * width * width + width)


def seeded(inputs, width):
    """The same weights every time."""
    torch.manual_seed(0)
    return Wide(inputs, width).eval()
