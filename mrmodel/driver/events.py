"""TensorBoard's event files, beside the checkpoints: ``tensorboard --logdir CHECKPOINTS``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from mrmodel import storage

FOLDER = "tensorboard"
# what a line of metrics.jsonl has → what TensorBoard calls it
_TAGS = {
    "loss": "loss/train",
    "validation_loss": "loss/validation",
    "lr": "lr",
    "gradient_norm": "gradient_norm",
    "rows_per_second": "rows_per_second",
    "seconds": "seconds",
}


class EventFiles:
    """Writes to `local`, a folder of this machine, and copies the file to `uri` as it grows: HDFS
    shows a file to others only when it is closed. Rounds after `done` that an earlier run has
    written are taken back."""

    def __init__(self, uri: str, local: Path, done: int):
        self._uri, self._local = uri, local
        self._writer = SummaryWriter(str(local), purge_step=done + 1 if done else None)

    def write(self, line: dict[str, Any]) -> None:
        """Add what a round's `line` of metrics.jsonl says."""
        for name, tag in _TAGS.items():
            if name in line:
                self._writer.add_scalar(tag, line[name], line["round"])
        self._writer.flush()
        self._copy()

    def close(self) -> None:
        """Write what the library still holds back: it has a thread of its own."""
        self._writer.close()
        self._copy()

    def _copy(self) -> None:
        for path in self._local.iterdir():
            storage.write_bytes(storage.join(self._uri, path.name), path.read_bytes())
