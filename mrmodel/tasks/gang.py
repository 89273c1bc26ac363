"""A member of a gang: reads its rows, joins the others, and looks after the process that trains.

The rows are read before joining, so that a slow reader can be overtaken by another attempt. What
trains is a process of its own: when another member dies, every member ends its process and begins
a new one from the latest checkpoint, with the rows that it has.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from torch.distributed import TCPStore

from mrmodel.errors import GangError, JobError, MrmodelError
from mrmodel.shards.shard import Shard
from mrmodel.tasks.bad_rows import BadRows, countable
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.gang_worker import LOST, Worker, train_here
from mrmodel.tasks.gauge import name_of
from mrmodel.tasks.network import own_address
from mrmodel.tasks.pulse import Pulse, pulse_of
from mrmodel.tasks.rendezvous import Beats, Member, Rendezvous
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.row_cache import write_rows
from mrmodel.tasks.spec import Gang, TaskSpec, Training
from mrmodel.tasks.staging import GANG, Staging, TakenOverError
from mrmodel.tasks.windows import Window, read_windows
from mrmodel.training.checkpoints import Checkpoints

_LOOK = 1.0  # seconds between two looks at the others
_TRIES = 3  # generations that may end one after the other without a new checkpoint


@dataclass(frozen=True)
class _Generation:
    number: int
    members: list[Member]
    store: TCPStore | None  # that of rank 0: the others meet there as long as it is kept


def gang_task(
    spec: TaskSpec,
    context: TaskContext,
    reporter: Reporter,
    stdout: IO[bytes],
    on_share: Callable[[float], None],
) -> GangTask:
    """Tasks that train together, and write the checkpoints themselves."""
    return GangTask(spec, context, reporter)


class GangTask:
    """One attempt at being one member."""

    def __init__(self, spec: TaskSpec, context: TaskContext, reporter: Reporter):
        self._spec, self._context, self._reporter = spec, context, reporter
        self._gang = Gang.from_dict(Training.from_dict(spec.training or {}).gang or {})
        self._staging = Staging(spec.staging, spec.identity)
        self._checkpoints = Checkpoints(self._gang.checkpoints)
        self._failures, self._last_round = 0, 0

    def run(self, shards: Iterable[Shard]) -> None:
        """Train until all rounds are done. Raises MrmodelError; its last words are in the staging
        folder by then."""
        attempt = self._context.attempt
        try:
            with pulse_of(self._spec, self._staging, attempt, self._reporter) as pulse:
                self._staging.check_ours()
                for shard in shards:
                    self._run(shard, pulse)
        except TakenOverError as error:
            # no failure: the runner would only try again, in the way of the job that took over
            print(f"mrmodel: {error}", file=sys.stderr)
        except Exception as error:
            detail = error.detail if isinstance(error, MrmodelError) else traceback.format_exc()
            final = isinstance(error, GangError)
            if attempt not in self._staging.told():  # what the worker said is more to the point
                self._staging.report_error(attempt, error, detail, final)
            raise
        finally:
            self._reporter.flush()

    def _run(self, shard: Shard, pulse: Pulse) -> None:
        rank = self._gang.ranks[shard.key]
        self._meeting = Rendezvous(self._staging.folder(GANG), rank, self._context.attempt)
        # on a cluster the working folder is on the disks that are there for this
        where = os.getcwd() if self._context.is_hadoop else None
        with (
            Beats(self._meeting),
            tempfile.TemporaryDirectory(prefix="rows-", dir=where) as folder,
        ):
            words = self._read(shard, rank, Path(folder), pulse)
            if self._spec.driver_pid == os.getpid():
                train_here(words, pulse, self._reporter)
                return
            while generation := self._join(pulse):
                if self._train(generation, words, pulse):
                    return

    def _read(self, shard: Shard, rank: int, folder: Path, pulse: Pulse) -> dict[str, Any]:
        """Read the rows of this member; what its worker must know."""
        told = (self._gang.validation or [None] * self._gang.world_size)[rank]
        validation = self._cache(Shard.from_dict(told), folder / "tests", pulse) if told else None
        return {
            "spec": self._spec.to_dict(),
            "rank": rank,
            "attempt": self._context.attempt,
            "own_address": own_address(self._staging.uri),
            "rows": self._cache(shard, folder / "rows", pulse, letters=True),
            "validation": validation,
            "threads": self._context.threads(self._spec.threads),
        }

    def _cache(
        self, shard: Shard, path: Path, pulse: Pulse, letters: bool = False
    ) -> dict[str, Any]:
        data = self._spec.task_data
        bad = 0

        def batches() -> Iterable[Any]:
            nonlocal bad
            for window in self._windows(shard, letters):
                pulse.beat(f"reading {name_of(shard)}")
                bad += len(window.bad)
                self._reporter.count(bytes_read=window.nbytes, rows_bad=len(window.bad))
                yield window.batch

        write_rows(path, data.arrow_schema, batches())
        return {"path": str(path), "bad": bad}

    def _windows(self, shard: Shard, letters: bool) -> Iterator[Window]:
        """The windows of `shard`, whose bad rows are written down with `letters`."""
        data, attempt = self._spec.task_data, self._context.attempt
        if not letters:
            yield from read_windows(data, shard)
            return
        for one in countable(shard, data.format):
            with BadRows(self._staging, attempt, one, data.format) as bad_rows:
                yield from bad_rows.watch(read_windows(data, one))

    def _join(self, pulse: Pulse) -> _Generation | None:
        """Take part in a generation and wait until it is whole; None when training is done."""
        meeting, address, store = self._meeting, own_address(self._staging.uri), None
        whole = time.monotonic()
        while not meeting.is_finished():
            pulse.beat("waiting for the other workers")
            number = meeting.generation()
            number += meeting.ended(number) is not None
            members = meeting.members(number)
            mine = next((m for m in members if m.rank == meeting.rank), None)
            if mine is None:
                if meeting.rank == 0:
                    store = TCPStore(address, 0, is_master=True, wait_for_workers=False)
                at = (address, store.port) if store else None
                meeting.join(number, socket.gethostname(), at)
                continue
            if mine.attempt == meeting.attempt and len(members) == self._gang.world_size:
                return _Generation(number, members, store)
            dead = meeting.dead(members)
            if dead:
                meeting.end(number, f"{_names(dead)} gave no sign of life")
            whole = whole if self._missing() else time.monotonic()
            self._check_wait(time.monotonic() - whole)
            time.sleep(_LOOK)
        return None

    def _missing(self) -> int:
        return self._gang.world_size - len(self._meeting.living())

    def _check_wait(self, seconds: float) -> None:
        self._staging.check_ours()
        size, missing = self._gang.world_size, self._missing()
        if seconds > self._gang.timeout and missing:
            raise GangError(
                f"{size - missing} of {size} workers came in {seconds:.0f} s: --sync allreduce "
                f"needs room for all at once: use fewer --workers, less --memory or --vcores, or "
                f"wait until other jobs have ended (longer: --gang-timeout)"
            )

    def _train(self, generation: _Generation, words: dict[str, Any], pulse: Pulse) -> bool:
        """Let a worker train; whether it came to the end."""
        address = generation.members[0].address
        worker = Worker({**words, "address": address, "world_size": self._gang.world_size})
        try:
            why = self._watch(generation, worker, pulse)
        finally:
            worker.end()
        if why is None:
            return True
        self._meeting.end(generation.number, why)
        self._check_progress(why)
        return False

    def _watch(self, generation: _Generation, worker: Worker, pulse: Pulse) -> str | None:
        """Wait for the end of `worker`, or of its generation; why it failed, if it did."""
        while (code := worker.wait(_LOOK)) is None:
            pulse.beat("training")
            self._staging.check_ours()
            why = self._meeting.ended(generation.number)
            dead = self._meeting.dead(generation.members)
            if why or dead:
                return why or f"{_names(dead)} gave no sign of life"
        if code == 0:
            return None
        if code == LOST:
            # who is to blame says so; a worker that was killed, within a moment
            time.sleep(2 * _LOOK)
            return self._meeting.ended(generation.number) or "the connection to a worker broke"
        if code < 0:
            return f"worker {self._meeting.rank} was killed by signal {-code}"
        raise JobError(f"worker {self._meeting.rank} failed")

    def _check_progress(self, why: str) -> None:
        """Raise GangError where the gang ends again and again without coming further."""
        rounds = self._checkpoints.rounds()
        last = rounds[-1] if rounds else 0
        self._failures = self._failures + 1 if last == self._last_round else 1
        self._last_round = last
        if self._failures >= _TRIES:
            raise GangError(
                f"the gang broke {_TRIES} times in round {last + 1}, last because {why}; "
                f"{self._checkpoints.left()}"
            )


def _names(members: list[Member]) -> str:
    return " and ".join(f"worker {member.rank} on {member.host}" for member in members)
