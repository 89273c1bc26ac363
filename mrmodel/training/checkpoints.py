"""CHECKPOINTS: a folder per round, each whole or not there.

CHECKPOINTS/
  round-000012/weights.safetensors     the model, as --weights takes it
  round-000012/optimizer.tensors       tensors of the optimiser's state
  round-000012/state.json              round, what else the optimiser keeps, the job's hashes
  latest                               the name of the newest folder
  metrics.jsonl                        a line per round
  tensorboard/                         the same for TensorBoard
  _inner/round-000012/SHARD.tensors    with --sync local: each shard's own optimiser
  _bad/part-00003.jsonl                the rows that could not be trained on, of a shard
  _mrmodel/shards.json                 how the input was cut: a resumed job adds up in that order

A round is written beside and renamed, `latest` last: a kill leaves the rounds before whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch

from mrmodel import storage
from mrmodel.errors import MrmodelError, OutputExistsError, UsageError
from mrmodel.shards.shard import Shard
from mrmodel.training import trees

_NAME = re.compile(r"round-(\d{6})")
WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.tensors"  # safetensors, but not a part of --weights
_STATE = "state.json"
INNER = "_inner"
BAD = "_bad"
_OWN = ("_mrmodel", INNER, BAD, "latest", "metrics.jsonl", "tensorboard")
_INNER_ROUNDS = 2  # that of the latest checkpoint, and one before, in case that one is damaged


@dataclass(frozen=True)
class Checkpoint:
    """Where training stands after `round`. `progress` is what early stopping keeps in mind,
    and the keys of the shards that the round went on without."""

    round: int
    weights: dict[str, torch.Tensor]
    optimizer: Any
    scheduler: Any
    identity: dict[str, Any]
    progress: dict[str, Any]


class Checkpoints:
    """The folder `uri`."""

    def __init__(self, uri: str):
        self.uri = storage.normalise(uri)
        self._storage = storage.storage_for(uri)
        hidden = f".{storage.basename(self.uri)}.replaced"
        self._aside = storage.join(storage.parent(self.uri), hidden)

    def folder(self, *names: str) -> str:
        return storage.join(self.uri, *names)

    def prepare(self, overwrite: bool, resume: bool) -> None:
        """Make the folder, without what is in it unless `resume` says to go on there. Raises
        OutputExistsError where there are checkpoints and nobody said what to do with them,
        UsageError where there is something else.

        What `overwrite` replaces is moved aside until the first round is there (`bring_back`)."""
        if overwrite and resume:
            raise UsageError("--overwrite and --resume: expected at most one of them")
        try:
            self.bring_back()
            entry = self._storage.stat(self.uri)
            if entry is not None and not entry.is_dir:
                raise UsageError(f"checkpoints {self.uri} is a file: expected a folder")
            if entry is not None and not resume:
                self._check_replaceable(overwrite)
                self._move_aside()
            self._storage.mkdir(self.uri)
        except PermissionError as error:
            raise UsageError(f"checkpoints {self.uri} cannot be written: {error}") from error

    def _check_replaceable(self, overwrite: bool) -> None:
        """What a run leaves that failed in its first round is nothing to ask about."""
        names = [entry.name for entry in self._storage.ls(self.uri)]
        others = [n for n in names if n not in _OWN and not _NAME.fullmatch(n.lstrip("."))]
        if others:
            raise UsageError(
                f"checkpoints {self.uri}: the folder holds {others[0]}, which is not a checkpoint: "
                f"name another folder"
            )
        if not overwrite and self.rounds():
            raise OutputExistsError(
                f"checkpoints {self.uri} exist already: use --resume to go on from the latest, "
                f"--overwrite to begin anew, or name another folder"
            )

    def _move_aside(self) -> None:
        if self.rounds():
            self._storage.rename(self.uri, self._aside)
        else:
            self._storage.delete(self.uri)

    def bring_back(self) -> bool:
        """Put back what was moved aside, where no round has come in its place; whether it was."""
        if self._storage.stat(self._aside) is None:
            return False
        is_there = self._storage.stat(self.uri) is not None
        if is_there and self.rounds():
            self._storage.delete(self._aside)  # its driver was killed before it could
            return False
        if is_there and self._storage.stat(self.folder(BAD)):
            # what the error message speaks of
            self._storage.delete(storage.join(self._aside, BAD))
            self._storage.rename(self.folder(BAD), storage.join(self._aside, BAD))
        self._storage.delete(self.uri)
        self._storage.rename(self._aside, self.uri)
        return True

    def bad(self, rows: int, of: int) -> str:
        """For people with more bad rows than they allow: what to do."""
        return (
            f"{rows} of {of} rows cannot be read or lack a value, see {self.folder(BAD)}: mend "
            f"them, or allow so many with --max-bad"
        )

    def rounds(self) -> list[int]:
        """The rounds that are there."""
        names = [_NAME.fullmatch(entry.name) for entry in self._storage.ls(self.uri)]
        return sorted(int(match[1]) for match in names if match)

    def left(self) -> str:
        """What there is, for people whose job ends here."""
        rounds = self.rounds()
        if not rounds:
            return "no round was complete"
        return f"rounds up to {rounds[-1]} are in {self.uri}: go on with --resume"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a round, in one step for whoever looks."""
        name = f"round-{checkpoint.round:06d}"
        folder = self.folder(f".{name}")
        self._storage.delete(folder)
        optimizer, tensors = trees.split(checkpoint.optimizer)
        scheduler, _ = trees.split(checkpoint.scheduler)
        files = {
            WEIGHTS: safetensors.torch.save(_own_memory(checkpoint.weights), {"format": "pt"}),
            _OPTIMIZER: safetensors.torch.save(tensors),
        }
        state = {
            "round": checkpoint.round,
            "optimizer": optimizer,
            "scheduler": scheduler,
            "identity": checkpoint.identity,
            "progress": checkpoint.progress,
            "sha256": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
        }
        for file, data in files.items():
            storage.write_bytes(storage.join(folder, file), data)
        storage.write_json(storage.join(folder, _STATE), state)
        self._storage.delete(self.folder(name))
        self._storage.rename(folder, self.folder(name))
        self._storage.delete(self._aside)
        storage.write_bytes(self.folder("latest"), f"{name}\n".encode())

    def load_latest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint that is whole, None where there is none; and why newer ones are
        not, one sentence each."""
        problems = []
        for number in reversed(self.rounds()):
            try:
                return self.load(number), problems
            except (OSError, ValueError, KeyError, TypeError, MrmodelError) as error:
                problems.append(
                    f"checkpoint of round {number} is damaged ({error}): it is left out"
                )
        return None, problems

    def load(self, number: int) -> Checkpoint:
        """The checkpoint of a round. Raises ValueError and others where it is damaged."""
        folder = self.folder(f"round-{number:06d}")
        state = storage.read_json(storage.join(folder, _STATE))
        files = {name: storage.read_bytes(storage.join(folder, name)) for name in state["sha256"]}
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != state["sha256"][name]:
                raise ValueError(f"{name} is not what was written")
        tensors = safetensors.torch.load(files[_OPTIMIZER])
        return Checkpoint(
            state["round"],
            safetensors.torch.load(files[WEIGHTS]),
            trees.join(state["optimizer"], tensors),
            trees.join(state["scheduler"], {}),
            state["identity"],
            state["progress"],
        )

    def keep_last(self, count: int) -> None:
        """Remove all rounds but the last `count`."""
        for number in self.rounds()[:-count]:
            self._storage.delete(self.folder(f"round-{number:06d}"))

    def keep_inner(self, number: int) -> None:
        """Remove the state of inner optimisers that no checkpoint up to round `number` needs."""
        folder = self.folder(INNER)
        entries = self._storage.ls(folder) if self._storage.stat(folder) else []
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and int(match[1]) <= number - _INNER_ROUNDS:
                self._storage.delete(entry.uri)

    def write_shards(self, shards: tuple[Shard, ...]) -> None:
        """Note down how the input was cut."""
        uri = self.folder("_mrmodel", "shards.json")
        storage.write_json(uri, [shard.to_dict() for shard in shards])

    def read_shards(self) -> tuple[Shard, ...]:
        """How the input was cut; nothing where it never was, or no round was made of it: it may
        have been mended since."""
        uri = self.folder("_mrmodel", "shards.json")
        if not storage.exists(uri) or not self.rounds():
            return ()
        return tuple(Shard.from_dict(shard) for shard in storage.read_json(uri))

    def write_metrics(self, line: dict[str, Any]) -> None:
        """Add `line` to metrics.jsonl, in place of lines of the same or later rounds.

        Call it before `save`: killed in between, a round that is done again has its line replaced;
        the other way round, a round that is not done again would have none.
        """
        kept = [one for one in self.read_metrics() if one["round"] < line["round"]]
        data = "".join(json.dumps(one) + "\n" for one in [*kept, line])
        storage.write_bytes(self.folder("metrics.jsonl"), data.encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        uri = self.folder("metrics.jsonl")
        text = storage.read_bytes(uri).decode() if storage.exists(uri) else ""
        return [json.loads(one) for one in text.splitlines() if one.strip()]


def _own_memory(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tied weights share memory, which safetensors refuses: each gets its own."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
