"""Hadoop's bytes are taken in at the pace of the work."""

import os
import threading
import time

import pytest

from mrmodel.tasks.drain import CHUNK, Drain


class Sender:
    """Writes to a pipe as Hadoop does; `sent` says how much has left."""

    def __init__(self, size):
        self.fd, self._to = os.pipe()
        self.sent, self._size = 0, size
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.sent < self._size:
            self.sent += os.write(self._to, b"x" * min(1 << 16, self._size - self.sent))
        os.close(self._to)

    def settle(self):
        """Wait until no more is taken."""
        before = -1
        while before != self.sent:
            before = self.sent
            time.sleep(0.1)
        return self.sent


@pytest.fixture
def sender():
    sender = Sender(40 << 20)
    yield sender
    os.close(sender.fd)


def test_takes_in_proportion_and_then_all(sender):
    drain = Drain(sender.fd, 40 << 20)
    spare = CHUNK + (1 << 17)  # one read, and what the pipe holds
    for share in (0.0, 0.25, 0.5, 0.25):
        drain.advance(share)
        taken = sender.settle()
        most = max(share, 0.5 if share == 0.25 and taken > 20 << 20 else 0) * (40 << 20)
        assert most <= taken <= most + spare
    drain.finish()
    assert sender.sent == 40 << 20
    sender.thread.join(1)
    assert not sender.thread.is_alive()


def test_more_than_was_promised(sender):
    """Hadoop sends the end of the last line, too, and a newline for each line."""
    drain = Drain(sender.fd, 1 << 20)
    drain.advance(1.0)
    assert sender.settle() < 4 << 20
    drain.finish()
    assert sender.sent == 40 << 20


def test_nothing_to_take():
    read, write = os.pipe()
    os.close(write)
    Drain(read, 0).finish()
    os.close(read)
