"""Who is in a round that need not wait for every shard: ``--min-shards``.

STAGING/roll/
  verdicts/SHARD    ``arrived`` or ``late``, whichever an attempt at the shard said first
  enough            as many shards have arrived as the round needs

An attempt that comes to its end says ``arrived``, one that gives up says ``late``: by a rename,
which fails where the other word is already. Every attempt at the shard then emits what the verdict
says, so that the shard is in the round once, or late, whichever of them Hadoop takes. An arrival
is never taken back: an attempt that dies after it is run again, and works to its end.

``enough`` is written after so many arrivals, and before any shard is late; as long as it is not
there, all verdicts are arrivals. It has to wait for the shards that were late in the round before,
too: no shard is left out twice in a row, however slow it is. A shard without rows counts, but does
not say that there are enough: there may be nothing in the round yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from mrmodel import storage
from mrmodel.tasks.staging import Staging

LOOK_EVERY = 1.0  # seconds
# more time for a shard that is at work when there are enough, in parts of what it has had: less is
# lost by waiting so long than by giving up on a shard that is nearly there
GRACE = 0.1
_ARRIVED, _LATE = "arrived", "late"


class RollCall:
    """The round of `staging`, which needs `least` shards, those with the keys `required` among
    them, as the attempt `attempt` at the shard `key` sees it. The work begins with the first
    look."""

    def __init__(
        self,
        staging: Staging,
        attempt: str,
        key: str,
        least: int,
        required: Collection[str] = (),
    ):
        self._job, self._attempt, self._key = staging, attempt, key
        self._least, self._required = least, set(required)
        self._storage = storage.storage_for(staging.uri)
        self._begun: float | None = None
        self._next_look = -math.inf
        self._give_up_at: float | None = None
        self._is_settled = False

    def is_late(self) -> bool:
        """Whether the round goes on without the shard. Looked up every second; a shard of which
        the work begins only now has no time left.

        Raises TakenOverError where the staging folder is another job's now.
        """
        now = time.monotonic()
        if self._is_settled or now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY
        begun = self._begun = now if self._begun is None else self._begun
        if self._give_up_at is None and storage.exists(self._folder("enough")):
            self._give_up_at = now + GRACE * (now - begun)
        if self._give_up_at is None or now < self._give_up_at:
            return False
        # another attempt may have arrived: then this one has to come to the same end
        self._is_settled = self._decide(_LATE) == _ARRIVED
        return not self._is_settled

    def arrive(self, rows: int) -> bool:
        """The work on `rows` rows is done: False where another attempt has given up on the shard
        before. Raises as `is_late` does."""
        if self._decide(_ARRIVED) == _LATE:
            return False
        names = {entry.name for entry in self._storage.ls(self._folder("verdicts"))}
        arrived = {name for name in names if not name.startswith(".")}
        if rows and len(arrived) >= self._least and self._required <= arrived:
            storage.write_bytes(self._folder("enough"), b"")
        return True

    def _decide(self, word: str) -> str:
        """The verdict on the shard: `word`, if it is the first."""
        self._job.check_ours()
        hidden = self._folder("verdicts", f".{self._key}.{self._attempt}")
        verdict = self._folder("verdicts", self._key)
        storage.write_bytes(hidden, word.encode())
        try:
            self._storage.rename(hidden, verdict)
        except FileExistsError:
            self._storage.delete(hidden)
            return storage.read_bytes(verdict).decode()
        return word

    def _folder(self, *names: str) -> str:
        return self._job.folder("roll", *names)
