"""A check, what it finds, and what checks tell each other. Imports nothing heavy: the checks are
there to say that a library cannot be imported."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mrmodel.runners.hadoop_conf import HadoopConf

CONFIGURATION = 2  # exit codes of a FAIL
SERVICE = 4


@dataclass(frozen=True)
class Request:
    """What is asked of the doctor: the options of the command."""

    runner: str = "inline"
    deep: bool = False
    python: str | None = None
    memory: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a check found. `mark` is ok, warn, FAIL or skip; `remedy` what to do about a warn or
    FAIL; `detail` further lines; `exit_code` is not 0 for a FAIL only; `lacking` the checks whose
    failure kept this one from running."""

    mark: str
    found: str
    remedy: str = ""
    exit_code: int = 0
    detail: str = ""
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """A node as YARN tells of it."""

    name: str
    state: str
    memory_mb: int
    vcores: int
    free_mb: int
    page: str


@dataclass
class Facts:
    """What checks learn and later ones rest on."""

    request: Request
    conf: HadoopConf | None = None
    hadoop: str = ""
    root: str = ""  # hdfs://NAMENODE
    home: str = ""  # of the user, on HDFS
    pages: str = ""  # of the ResourceManager; empty where they do not answer
    nodes: list[Node] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=dict)  # what the one-task job told


@dataclass(frozen=True)
class Check:
    """`run` looks at one thing; an error that it raises is a FAIL with the `remedy` given here.
    It is skipped unless all checks that it `needs` are in order."""

    name: str
    run: Callable[[Facts], Finding]
    needs: tuple[str, ...] = ()
    remedy: str = ""


def ok(found: str) -> Finding:
    """All is well, and this is what was found."""
    return Finding("ok", found)


def warn(found: str, remedy: str) -> Finding:
    """Jobs run, but something will disappoint."""
    return Finding("warn", found, remedy)


def fail(found: str, remedy: str, exit_code: int = CONFIGURATION) -> Finding:
    """No job can run like this."""
    return Finding("FAIL", found, remedy, exit_code)


def skip(found: str) -> Finding:
    """Not tried, for the reason given."""
    return Finding("skip", found)


def counted(number: int, noun: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def telling_line(command: list[str], timeout: float) -> tuple[bool, str]:
    """Whether `command` succeeds, and the line it prints that says most: the first, of stdout if
    there is one; the last of a failure."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer in {timeout:.0f} s"
    except OSError as error:
        return False, f"cannot be run: {error.strerror or error}"
    text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    told = [line.strip() for line in text.splitlines() if line.strip()] or ["it prints nothing"]
    if done.returncode:
        return False, f"exit code {done.returncode}: {told[-1]}"
    return True, told[0]
