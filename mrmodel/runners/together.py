"""Tasks that must all run at once, on a cluster that may not have room for all of them."""

from __future__ import annotations

import time

from mrmodel.errors import GangError
from mrmodel.runners.base import Launch
from mrmodel.tasks.rendezvous import Rendezvous
from mrmodel.tasks.staging import GANG

# the tasks look for themselves, and have more to say
_MORE = 30.0


class Together:
    """How long tasks of `launch` have been missing."""

    def __init__(self, launch: Launch):
        self._size, self._patience = len(launch.shards), launch.patience or 0.0
        self._meeting = Rendezvous(launch.staging.folder(GANG), -1, "driver")
        self._whole = time.monotonic()

    def check(self, is_running: bool) -> None:
        """Raise GangError where tasks have been missing for too long since the job began to run:
        in YARN's queue it may wait, as any job may."""
        here = len(self._meeting.living())
        if not is_running or here >= self._size or self._meeting.is_finished():
            self._whole = time.monotonic()
        waited = time.monotonic() - self._whole
        if waited > self._patience + _MORE:
            raise GangError(
                f"{here} of {self._size} workers run after {waited:.0f} s: --sync allreduce needs "
                f"room for all at once: use fewer --workers, less --memory or --vcores, or wait "
                f"until other jobs have ended (longer: --gang-timeout)"
            )
