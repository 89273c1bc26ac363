"""Calls of hdfs-native, made so that each ends: by its result, by Ctrl-C or by a time limit.

The library waits without limit for a NameNode that has stopped, and Ctrl-C cannot reach a thread
that is inside it. So each call runs in a thread of its own and is waited for here.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from mrmodel.storage.hdfs_errors import translate, unreachable

T = TypeVar("T")

# Until it has answered once: a person is waiting to hear that the address is wrong.
FIRST_SECONDS = 15.0
# After that: what Hadoop's own client waits (ipc.client.rpc-timeout.ms), since a NameNode in a
# long garbage collection is no reason to fail a job.
LATER_SECONDS = 120.0


class Caller:
    """Makes calls for one client and turns its errors into those of `Storage`."""

    def __init__(self) -> None:
        self.answered = False
        self._process = os.getpid()

    def __call__(self, uri: str, act: Callable[..., T], *args: object) -> T:
        """``act(*args)``, which concerns `uri`.

        Raises the errors of `Storage`; ServiceError when time runs out.
        """
        self._check_fork(uri)
        limit = LATER_SECONDS if self.answered else FIRST_SECONDS
        outcome: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=_run, args=(outcome, act, args), daemon=True).start()
        try:
            result, error = outcome.get(timeout=limit)
        except queue.Empty:
            raise unreachable(uri, f"no answer in {limit:.0f} s") from None
        if error is not None:
            raise translate(error, uri) from error
        self.answered = True
        return result

    def _check_fork(self, uri: str) -> None:
        """The library's threads do not live on in a forked process: a call would wait for ever."""
        if self._process != os.getpid():
            raise RuntimeError(
                f"{uri}: HDFS was used before this process was forked; start processes that use "
                'it with multiprocessing.get_context("spawn")'
            )


def _run(outcome: queue.SimpleQueue, act: Callable, args: tuple) -> None:
    try:
        outcome.put((act(*args), None))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is a BaseException
        outcome.put((None, error))
