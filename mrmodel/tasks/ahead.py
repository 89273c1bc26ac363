"""Work ahead of the consumer, in a thread, a bounded number of items."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_POLL = 0.2


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def ahead(items: Iterable[T], depth: int, name: str) -> Iterator[T]:
    """The `items`, produced by a thread that is at most `depth` of them ahead.

    An exception in the thread is raised here, in its place in the order. Closing this iterator
    stops the thread.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stop), name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()


def _fill(items: Iterable[Any], waiting: queue.Queue[Any], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(waiting, item, stop):
                return
    except BaseException as raised:  # noqa: BLE001 it is raised again where it is consumed
        error = raised
    _put(waiting, _End(error), stop)


def _put(waiting: queue.Queue[Any], item: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_POLL)
            return True
        except queue.Full:
            continue
    return False


class Sink(Generic[T]):
    """Hands items to `consume` in a thread, at most `depth` behind.

    ``close()`` waits for all; an exception of `consume` is raised by the next ``put`` or by
    ``close``.
    """

    def __init__(self, consume: Callable[[T], None], depth: int, name: str):
        self._consume = consume
        self._waiting: queue.Queue[Any] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        if not _put(self._waiting, item, self._stop):
            self._raise()

    def close(self) -> None:
        _put(self._waiting, _End(), self._stop)
        self._thread.join()
        self._raise()

    def cancel(self) -> None:
        """Stop without consuming what waits."""
        self._stop.set()
        _drop_all(self._waiting)
        self._waiting.put(_End())
        self._thread.join()

    def _run(self) -> None:
        try:
            while not isinstance(item := self._waiting.get(), _End):
                self._consume(item)
        except BaseException as error:  # noqa: BLE001 it is raised again by put or close
            self._error = error
            self._stop.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _drop_all(waiting: queue.Queue[Any]) -> None:
    while True:
        try:
            waiting.get_nowait()
        except queue.Empty:
            return
