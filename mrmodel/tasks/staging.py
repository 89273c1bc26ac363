"""Where finished shards wait for the commit, and how exactly one copy of each gets there.

STAGING/
  done/SHARD/record.json              what was read, written and how long it took
  done/SHARD/part.parquet | .jsonl    the predictions, if any row was good
  done/SHARD/bad.jsonl                the dead letters, if any row was bad
  work/ATTEMPT-SHARD/                 the same, while an attempt writes it
  reduced/GROUP                       what reducers made of a group
  gang/                               where tasks that train together meet (`tasks.rendezvous`)
  roll/                               which shards a round goes on without (`tasks.roll_call`)
  errors/ATTEMPT.json                 the last words of an attempt that failed

A shard is finished by one atomic rename of its folder from ``work`` to ``done``. Whoever comes
second (a speculative duplicate, a retry after a lost heartbeat, a task of an earlier run that
nobody killed) finds the name taken and throws its own copy away, so that every row is there once.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from mrmodel import storage
from mrmodel.errors import JobError, MrmodelError
from mrmodel.parallel import map_parallel

GANG = "gang"


class TakenOverError(JobError):
    """The staging folder is another job's now."""


class Staging:
    """The staging folder of one job. With `identity` (the job's hashes) a shard is finished only
    while the folder still belongs to that job."""

    def __init__(self, uri: str, identity: dict[str, str] | None = None):
        self.uri = uri
        self._identity = identity
        self._storage = storage.storage_for(uri)

    def folder(self, *names: str) -> str:
        return storage.join(self.uri, *names)

    def is_done(self, key: str) -> bool:
        return self._storage.stat(self.folder("done", key)) is not None

    def start(self, attempt: str, key: str) -> str:
        """A fresh folder for `attempt` to write the shard `key` in."""
        folder = self.folder("work", f"{attempt}-{key}")
        self._storage.delete(folder)
        self._storage.mkdir(folder)
        return folder

    def finish(self, folder: str, key: str, record: dict[str, Any]) -> bool:
        """Make the shard in `folder` the one that counts; False when another attempt was first.

        Raises JobError when `folder` was taken away (see `clear_work`), or the staging folder is
        another job's now.
        """
        storage.write_json(storage.join(folder, "record.json"), record)
        self._check_whole(folder, record)
        self._check_ours_or_drop(folder)
        self._storage.mkdir(self.folder("done"))
        try:
            self._storage.rename(folder, self.folder("done", key))
        except FileExistsError:
            self._storage.delete(folder)
            return False
        return True

    def abandon(self, folder: str) -> None:
        self._storage.delete(folder)

    def report_error(
        self, attempt: str, error: BaseException, detail: str = "", final: bool = False
    ) -> None:
        """Leave the last words of `attempt` for the driver to read; not for that of another job.
        With `final`, another attempt would come to no other end."""
        if not self._is_ours():
            return
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        name = type(error).__name__ if isinstance(error, MrmodelError) else "JobError"
        detail = getattr(error, "detail", detail)
        words = {"type": name, "message": message, "detail": detail, "final": final}
        storage.write_json(self.folder("errors", f"{attempt}.json"), words)

    def told(self) -> set[str]:
        """The attempts that left last words."""
        return {entry.name.removesuffix(".json") for entry in self._list("errors")}

    def errors(self) -> list[dict[str, Any]]:
        """The last words of every attempt that failed, by attempt."""
        return self._read_all("errors", lambda entry: entry.uri)

    def reduced(self, name: str, data: bytes) -> None:
        """Keep what reducers made of the group called `name`. Raises JobError where the staging
        folder is another job's now."""
        self.check_ours()
        storage.write_bytes(self.folder("reduced", name), data)

    def check_ours(self) -> None:
        """Raise TakenOverError where the staging folder is another job's now."""
        if not self._is_ours():
            raise TakenOverError(
                f"{self.uri} belongs to another job now: this task's driver is gone"
            )

    def report_seconds(self, kind: str, name: str, begun: float, seconds: dict[str, float]) -> None:
        """Keep what a part of the work took that ends now: `kind` is ``map`` or ``reduce``, `name`
        the same whichever attempt does it, so that no attempt counts twice."""
        told = {"kind": kind, "begun": begun, "ended": time.time(), "seconds": seconds}
        storage.write_json(self.folder("seconds", f"{kind}-{name}.json"), told)

    def seconds(self) -> list[dict[str, Any]]:
        """What `report_seconds` was given."""
        return self._read_all("seconds", lambda entry: entry.uri)

    def read_reduced(self) -> dict[str, bytes]:
        """What reducers made, by the names of the groups; files in the making left out."""
        entries = self._list("reduced")
        found = map_parallel(storage.read_bytes, [entry.uri for entry in entries])
        return {entry.name: data for entry, data in zip(entries, found, strict=True)}

    def list_reduced(self) -> list[str]:
        """The names of the groups of which reducers made something, in order."""
        return sorted(entry.name for entry in self._list("reduced"))

    def clear_reduced(self) -> None:
        """Throw away what reducers of an earlier run made: its groups may be others."""
        self._storage.delete(self.folder("reduced"))

    def clear_gang(self) -> None:
        """Forget who met here: all of them are gone."""
        self._storage.delete(self.folder(GANG))

    def clear_errors(self) -> None:
        self._storage.delete(self.folder("errors"))

    def records(self) -> dict[str, dict[str, Any]]:
        """Shard key → record, for every finished shard."""
        found = self._read_all("done", lambda entry: storage.join(entry.uri, "record.json"))
        return {record["shard"]: record for record in found}

    def count_done(self) -> int:
        return len(self._list("done"))

    def clear_work(self) -> None:
        """Throw away what attempts have begun. One that still runs cannot finish any more: its
        folder goes in one step, so that it never finds a part of its files."""
        work = self.folder("work")
        if self._storage.stat(work) is not None:
            gone = self.folder(f"gone-{secrets.token_hex(8)}")
            self._storage.rename(work, gone)
            self._storage.delete(gone)

    def read_identity(self) -> dict[str, str] | None:
        """The hashes of the job that this folder belongs to; None when it belongs to none."""
        uri = self.folder("identity.json")
        return storage.read_json(uri) if storage.exists(uri) else None

    def write_identity(self, identity: dict[str, str]) -> None:
        storage.write_json(self.folder("identity.json"), identity)

    def delete(self) -> None:
        """Remove everything; what a kill leaves of it is not taken for finished shards."""
        self._storage.delete(self.folder("identity.json"))
        self.clear_work()
        self._storage.delete(self.uri)

    def _check_whole(self, folder: str, record: dict[str, Any]) -> None:
        """Writing the record makes the folder anew where a later run has taken it away: what
        was in it is missing then."""
        named = [record["part"]] if record["part"] else []
        named += ["bad.jsonl"] if record["rows"]["bad"] else []
        for name in named:
            if self._storage.stat(storage.join(folder, name)) is None:
                self._storage.delete(folder)
                raise JobError(
                    f"{folder} was taken away while its shard was predicted: does another job "
                    f"write the same output?"
                )

    def _check_ours_or_drop(self, folder: str) -> None:
        """A task that outlived its driver must not finish a shard for the next job, whose model
        may be another. Were the folder cleared after this, `folder` would be gone with it."""
        try:
            self.check_ours()
        except JobError:
            self._storage.delete(folder)
            raise

    def _is_ours(self) -> bool:
        return self._identity is None or self.read_identity() == self._identity

    def _list(self, name: str) -> list[Any]:
        """What is in a folder, without files that an attempt just writes (``.*.tmp``)."""
        folder = self.folder(name)
        entries = self._storage.ls(folder) if self._storage.stat(folder) else []
        return [entry for entry in entries if not entry.name.startswith(".")]

    def _read_all(self, name: str, where: Any) -> list[dict[str, Any]]:
        uris = [where(entry) for entry in self._list(name)]
        return map_parallel(storage.read_json, uris)
