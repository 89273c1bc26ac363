"""Runs of the systems, each measured the same way."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from . import watch
from .options import say, turns
from .rival_list import RIVALS, Regime, System, write_lines
from .rivals.common import FIRST_BATCH
from .systems import Setting, environment
from .venvs import Environment
from .workloads import ROOT, WORKLOADS, write_data

FILES_PER_CORE = 4
WARM_UP_ROWS = 200
# a cluster's settings, or another installation's, are not for what runs on this machine
_ELSEWHERE = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_HOME", "SPARK_CONF_DIR", "RAY_ADDRESS")


@dataclass(frozen=True)
class Run:
    """One run of `system`, in seconds and bytes; `first` is how long after the command the first
    batch was predicted. `failure` is why one failed, and "" otherwise."""

    system: str
    repeat: int
    rows: int
    wall: float = 0.0
    first: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    others: float = 0.0
    failure: str = ""


def make_setting(
    regime: Regime, rows: int, batch_size: int | None, cores: int, folder: Path
) -> Setting:
    """The rows as several files per core, and the weights."""
    workload = WORKLOADS[regime.workload]
    noted = replace(workload, reference=f"{RIVALS / 'noted.py'}:{regime.noted}")
    weights = workload.weights(folder)
    data = write_data(workload, rows, FILES_PER_CORE * cores, folder / "in")
    rows_of_a_batch = batch_size or workload.batch_size
    own = batch_size is None
    return Setting(noted, data, weights, rows_of_a_batch, cores, folder, own_batches=own)


def add_lines(setting: Setting, systems: list[System]) -> None:
    """Write the rows as JSON lines where one of `systems` reads nothing else."""
    if any(system.needs_lines for system in systems):
        write_lines(setting)


def small(setting: Setting) -> Setting:
    """A few rows, for runs that do not count."""
    rows = min(WARM_UP_ROWS, setting.data.rows)
    folder = setting.folder / "warm-up"
    files = len(setting.data.files)
    data = write_data(setting.workload, rows, files, folder / "in")
    return replace(setting, data=data, folder=folder)


def output_of(system: System, setting: Setting) -> Path:
    """The folder that `system` writes."""
    return setting.folder / "out" / system.name


def commands_of(
    system: System, setting: Setting, found: Environment | None
) -> tuple[list[list[str]], dict[str, str]]:
    """What starts `system`, and its environment variables. Its output is removed, and so is the
    note about the first batch."""
    output = output_of(system, setting)
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    first_note(setting).unlink(missing_ok=True)
    env = environment(setting.cores if system.one_process else 1)
    env[FIRST_BATCH] = str(first_note(setting))
    if found:
        env = _activated(env, found)
    python = found.python if found else sys.executable
    return system.commands(setting, output, python), env


def first_note(setting: Setting) -> Path:
    """Where the first process that predicts says when."""
    return setting.folder / "first.json"


def _activated(env: dict[str, str], found: Environment) -> dict[str, str]:
    """As after `source VENV/bin/activate`, with the programs' own modules and no others."""
    folder = Path(found.python).parent
    env = {name: value for name, value in env.items() if name not in _ELSEWHERE}
    path = f"{folder}{os.pathsep}{env.get('PATH', '')}"
    return {**env, "PATH": path, "VIRTUAL_ENV": str(folder.parent), "PYTHONPATH": f"{ROOT}/scripts"}


def measure(
    system: System, setting: Setting, found: Environment | None, repeat: int, patience: float
) -> Run:
    """Run `system` once. One that fails says why."""
    commands, env = commands_of(system, setting, found)
    try:
        cost, _ = watch.run(commands, env, setting.folder, patience=patience)
    except watch.CommandFailed as error:
        return Run(system.name, repeat, setting.data.rows, failure=_in_a_line(str(error)))
    first = _first(setting, cost)
    seconds = (cost.wall, first, cost.cpu)
    return Run(system.name, repeat, setting.data.rows, *seconds, cost.memory, cost.others)


def _first(setting: Setting, cost: watch.Cost) -> float:
    try:
        return json.loads(first_note(setting).read_text())["time"] - cost.began
    except OSError:
        return cost.wall


def _in_a_line(words: str) -> str:
    """The exit code, and the last line that a command which failed has printed."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    code = lines[0][lines[0].rfind("exit code") :]
    return f"{code}: {lines[-1][:200]}" if len(lines) > 1 else code


def interleaved(
    systems: list[System],
    setting: Setting,
    environments: dict[str, Environment],
    repeats: int,
    patience: float,
) -> Iterator[Run]:
    """Every system once per repeat, every second repeat backwards. One that fails is not run
    again."""
    failed = set()
    for repeat, system in turns(systems, repeats):
        if system.name in failed:
            continue
        run = measure(system, setting, environments.get(system.venv), repeat, patience)
        told = run.failure or f"{run.wall:.1f} s, the first batch after {run.first:.1f} s"
        say(f"{repeat + 1}/{repeats} {system.name}: {told}")
        if run.failure:
            failed.add(system.name)
        yield run
