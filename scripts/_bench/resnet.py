"""The image model: a residual network of the size of ResNet-18, and how JPEGs become its input."""

import io

import numpy as np
import torch
from PIL import Image
from torch import nn

SIDE = 224
CLASSES = 10
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
SPREAD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def decode(jpeg):
    """The encoded image as (3, 224, 224) float32, normalised."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / SPREAD).transpose(2, 0, 1))


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width, wider, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU(),
            nn.Conv2d(wider, wider, 3, 1, 1, bias=False), nn.BatchNorm2d(wider),
        )  # fmt: skip
        self.around = nn.Identity()
        if stride > 1 or width != wider:
            conv = nn.Conv2d(width, wider, 1, stride, bias=False)
            self.around = nn.Sequential(conv, nn.BatchNorm2d(wider))

    def forward(self, x):
        return torch.relu(self.body(x) + self.around(x))


class ResNet(nn.Module):
    """Images in, ten numbers each out: 11 million parameters."""

    def __init__(self):
        super().__init__()
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        blocks = [(Block(a, b, stride), Block(b, b, 1)) for a, b, stride in widths]
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1), *(block for pair in blocks for block in pair),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES),
        )  # fmt: skip

    def forward(self, images):
        return self.layers(images)


def seeded():
    """The same weights every time."""
    torch.manual_seed(0)
    return ResNet().eval()
