"""How the members of a gang find each other: through files on the job's file system.

GANG/
  beats/RANK.ATTEMPT      touched every few seconds by every attempt that lives
  g-000001/RANK           who takes part in generation 1 as RANK; the first attempt wins
  g-000001/broken         why generation 1 ended, where it did not end well
  finished                training is done

A generation is formed when every rank takes part in it. A member that dies takes the others'
connections with it: one of them writes ``broken``, and all meet again in the next generation, the
dead one's place being taken by the attempt that the runner starts instead. The file system is what
every member can reach, whoever dies; there is no process of which that could be said (torch's own
elastic agents need a store that outlives them).
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from mrmodel import storage
from mrmodel.errors import MrmodelError

BEAT = 4.0  # seconds between two signs of life
STILL = 30.0  # seconds without one after which an attempt is taken for dead
_GENERATION = re.compile(r"g-(\d{6})")


@dataclass(frozen=True)
class Member:
    """An attempt that takes part as `rank`; `address` is where the store of rank 0 listens."""

    rank: int
    attempt: str
    host: str
    address: tuple[str, int] | None = None


class Rendezvous:
    """The folder `uri`, as the attempt `attempt` of `rank` sees it."""

    def __init__(self, uri: str, rank: int, attempt: str):
        self._uri, self.rank, self.attempt = uri, rank, attempt
        self._storage = storage.storage_for(uri)
        self._seen: dict[str, tuple[float, float]] = {}

    def touch(self) -> None:
        """A sign of life."""
        storage.write_bytes(self._folder("beats", f"{self.rank}.{self.attempt}"), b"")

    def living(self) -> set[int]:
        """The ranks of which an attempt gives signs of life."""
        beats = self._beats()
        return {int(n.partition(".")[0]) for n in beats if not self._is_still(n, beats)}

    def dead(self, members: list[Member]) -> list[Member]:
        """Those of `members` without a sign of life for `STILL` seconds of looking at them."""
        beats = self._beats()
        return [m for m in members if self._is_still(f"{m.rank}.{m.attempt}", beats)]

    def _beats(self) -> dict[str, float]:
        return {entry.name: entry.mtime for entry in self._ls("beats")}

    def _is_still(self, name: str, beats: dict[str, float]) -> bool:
        # what moves is looked at, by this machine's clock: those of others may be wrong
        now, beat = time.monotonic(), beats.get(name, 0.0)
        last, since = self._seen.get(name, (None, now))
        if beat != last:
            self._seen[name] = (beat, now)
            return False
        return now - since > STILL

    def generation(self) -> int:
        """The number of the newest generation, 1 where there is none."""
        found = [_GENERATION.fullmatch(entry.name) for entry in self._ls()]
        return max((int(match[1]) for match in found if match), default=1)

    def members(self, number: int) -> list[Member]:
        """Who takes part in a generation, by rank."""
        entries = [e for e in self._ls(_name(number)) if e.name.isdigit()]
        told = [storage.read_json(entry.uri) for entry in entries]
        return sorted((_member(one) for one in told), key=lambda member: member.rank)

    def join(self, number: int, host: str, address: tuple[str, int] | None = None) -> bool:
        """Take part in a generation; False where another attempt of this rank does."""
        me = Member(self.rank, self.attempt, host, address)
        hidden = self._folder(_name(number), f".{self.rank}.{self.attempt}")
        storage.write_json(hidden, asdict(me))
        try:
            self._storage.rename(hidden, self._folder(_name(number), str(self.rank)))
        except FileExistsError:
            self._storage.delete(hidden)
            return False
        return True

    def end(self, number: int, why: str) -> None:
        """Say that a generation is over."""
        storage.write_bytes(self._folder(_name(number), "broken"), why.encode())

    def ended(self, number: int) -> str | None:
        """Why a generation is over; None while it is not."""
        uri = self._folder(_name(number), "broken")
        return storage.read_bytes(uri).decode() if storage.exists(uri) else None

    def finish(self) -> None:
        """Say that training is done."""
        storage.write_bytes(self._folder("finished"), b"")

    def is_finished(self) -> bool:
        return storage.exists(self._folder("finished"))

    def _folder(self, *names: str) -> str:
        return storage.join(self._uri, *names) if names else self._uri

    def _ls(self, *names: str) -> list[Any]:
        folder = self._folder(*names)
        found = self._storage.ls(folder) if self._storage.stat(folder) else []
        return [entry for entry in found if not entry.name.startswith(".")]


class Beats:
    """Signs of life from a thread of its own, from entering to leaving."""

    def __init__(self, rendezvous: Rendezvous):
        self._rendezvous = rendezvous
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def __enter__(self) -> Beats:
        self._rendezvous.touch()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(BEAT)

    def _run(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._rendezvous.touch()
            except (OSError, MrmodelError):
                continue  # the next may come through; who hears nothing for long says so


def _name(number: int) -> str:
    return f"g-{number:06d}"


def _member(told: dict[str, Any]) -> Member:
    address = told["address"]
    return Member(told["rank"], told["attempt"], told["host"], tuple(address) if address else None)
