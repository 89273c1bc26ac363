"""What the commands have in common: kinds of options, a folder to work in, words on stderr."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mrmodel import storage

T = TypeVar("T")


def positive(text: str) -> int:
    """A number from 1."""
    return _from(1, text)


def natural(text: str) -> int:
    """A number from 0."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a number from {least} but received {text}")
    return value


def some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Names among `known`, separated by commas."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(name.strip() for name in text.split(","))
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(known)} but received {unknown[0]!r}"
            )
        return found

    return names


def turns(items: Sequence[T], repeats: int) -> Iterator[tuple[int, T]]:
    """(repeat, item): every item once per repeat, every second repeat backwards, so that what
    else the machine does meets all of them."""
    for repeat in range(repeats):
        for item in items if repeat % 2 == 0 else reversed(items):
            yield repeat, item


@contextmanager
def work_folder(named: Path | None):
    """The folder `named`, or one that is removed afterwards."""
    if named:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="mrmodel-bench-") as folder:
        yield Path(folder)


def hdfs_folder(named: str | None) -> str:
    """A folder of this process on the cluster, below `named` or /tmp."""
    from mrmodel.runners.hadoop_conf import HadoopConf

    if named:
        return storage.join(named, f"mrmodel-bench-{os.getpid()}")
    root = HadoopConf.load().get("fs.defaultFS")
    return storage.join(root, "tmp", f"mrmodel-bench-{os.getpid()}")


def say(text: str) -> None:
    """Tell a person who waits."""
    print(text, file=sys.stderr, flush=True)
