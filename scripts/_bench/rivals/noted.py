"""mrmodel's models of each regime, which also note when their first batch was predicted.

What a user writes is the class below each; `scripts/bench rivals` counts the lines of that.
"""

from _bench.classify import Classify
from _bench.mlp import MLP
from _bench.rivals import common
from _bench.workloads import EMBED, load_module


class Text(load_module(EMBED / "model.py").Embed):
    """MiniLM."""

    def predict(self, batch):
        found = super().predict(batch)
        common.first_batch()
        return found


class Tabular(MLP):
    """The MLP over 30 columns."""

    def forward(self, features):
        found = super().forward(features)
        common.first_batch()
        return found


class Image(Classify):
    """The residual network."""

    def predict(self, images):
        found = super().predict(images)
        common.first_batch()
        return found
