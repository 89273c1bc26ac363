"""Calls of hdfs-native, made so that each ends: by its result, by Ctrl-C or by a time limit.

The library tries for minutes to reach a NameNode that is down, waits without limit for one that
has stopped, and Ctrl-C cannot reach a thread that is inside it. So each call runs in a thread of
its own and is waited for here (0.6 ms more for a call of 0.3 ms, on two busy cores).
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from mrmodel.storage.hdfs_errors import stuck, translate, unreachable

T = TypeVar("T")

# Until it has answered once: a person is waiting to hear that the address is wrong.
FIRST_SECONDS = 15.0
# After that: what Hadoop's own client waits (ipc.client.rpc-timeout.ms), since a NameNode in a
# long garbage collection is no reason to fail a job.
LATER_SECONDS = 120.0
# For a NameNode that is just being restarted.
REFUSED_SECONDS = 5.0


class Caller:
    """Makes calls for one client and turns its errors into those of `Storage`."""

    def __init__(self, address: tuple[str, int] | None = None) -> None:
        """`address`: the NameNode's, None where a name service stands for several."""
        self.answered = False
        self._address = address
        self._process: int | None = None  # the one that made the first call

    def __call__(self, uri: str, act: Callable[..., T], *args: object) -> T:
        """``act(*args)``, which concerns `uri`.

        Raises the errors of `Storage`; ServiceError when time runs out.
        """
        self._check_fork(uri)
        if not self.answered:
            self._knock(uri)
        limit = LATER_SECONDS if self.answered else FIRST_SECONDS
        outcome: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=_run, args=(outcome, act, args), daemon=True).start()
        try:
            result, error = outcome.get(timeout=limit)
        except queue.Empty:
            reason = self._try_to_connect()
            raise (unreachable(uri, reason) if reason else stuck(uri, limit)) from None
        if error is not None:
            raise translate(error, uri, self._is_up) from error
        self.answered = True
        return result

    def _knock(self, uri: str) -> None:
        """Fail soon, and say why, where nothing listens: the library would try for minutes."""
        end = time.monotonic() + REFUSED_SECONDS
        while reason := self._try_to_connect():
            if time.monotonic() >= end or reason != "connection refused":
                raise unreachable(uri, reason)
            time.sleep(0.5)

    def _is_up(self) -> bool:
        return self.answered and self._address is not None and not self._try_to_connect()

    def _try_to_connect(self) -> str:
        """Why a connection to the NameNode fails; empty where it does not."""
        if self._address is None:
            return ""
        try:
            socket.create_connection(self._address, timeout=FIRST_SECONDS).close()
        except TimeoutError:
            return f"no answer in {FIRST_SECONDS:.0f} s"
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return ""

    def _check_fork(self, uri: str) -> None:
        """The library's threads do not live on in a forked process: a call would wait for ever."""
        if self._process is None:
            self._process = os.getpid()
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
