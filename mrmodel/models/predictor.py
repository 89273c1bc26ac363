"""The class a user subclasses to run a model of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Predictor:
    """A model and how to feed it. Only ``predict`` must be written.

    A batch is a dict of column name → values, one per row: a numpy array for numbers (2-D or
    more for fixed-size lists and images of one size), a list for everything else (str, bytes,
    lists of different lengths).

    Example::

        class Doubler(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                return {"twice": batch["x"] * 2}
    """

    inputs: list[str] | None = None
    """The columns to read for the model; None means all, and --inputs wins over it."""

    def load(self, weights: Path | None, device: str) -> None:
        """Load the model; called once per task, before the first batch.

        `weights` is a local path, file or folder, to what --weights named (None without it);
        `device` is a torch device name, ``cpu`` or ``cuda``.
        """

    def predict(self, batch: Any) -> dict[str, Any]:
        """The outputs for `batch` (what ``prepare`` returned, where there is a ``prepare``).

        Returns a dict of column name → tensor, numpy array or list, with as many rows as the
        batch has, in its order. Runs under ``torch.inference_mode``. An exception makes the batch
        be halved until the rows that cause it are found: these become bad rows.
        """
        raise TypeError(f"{type(self).__name__} does not define predict(self, batch)")


# Optional methods, not defined on the base class so that their absence can be seen:
#
#   def prepare(self, batch) -> Any
#       Turns a batch of columns into what predict takes (tokenise, decode, normalise). Runs in a
#       thread, ahead of the forward pass; with --prepare-workers in other processes, where what it
#       changes in `self` stays.
#
#   def size(self, prepared) -> array of shape (rows,)
#       A cost per row (the number of tokens, say). Rows of similar cost are then predicted
#       together; the order is restored on output. `prepare` must return a dict whose values have
#       one entry per row.
