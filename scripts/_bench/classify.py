"""The image model for mrmodel: JPEGs are decoded in `prepare`, ahead of the forward pass."""

import numpy as np
import safetensors.torch
import torch

import mrmodel
from _bench.resnet import ResNet, decode


class Classify(mrmodel.Predictor):
    """Ten numbers for each image."""

    inputs = ["jpeg"]

    def load(self, weights, device):
        self.model = ResNet().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def prepare(self, batch):
        return np.stack([decode(jpeg) for jpeg in batch["jpeg"]])

    def predict(self, images):
        return {"output": self.model(torch.from_numpy(images))}
