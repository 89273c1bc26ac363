"""From a command to its first batch, and to its end: a hundred rows, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mrmodel import storage
from mrmodel.driver.startup import PARTS

from . import watch
from .report import markdown, spread
from .systems import Setting, bare_commands, environment, mrmodel_command, output_of

BARE = "bare"
GOAL = 1.3  # the inline runner's wall time in those of the bare loop


@dataclass(frozen=True)
class Start:
    """One run of `system` took `wall` seconds; `parts` follow one another: ``command`` until the
    job began (interpreter, imports, options), those of run.json, and ``end`` after the first
    batch. The bare loop has none."""

    system: str
    wall: float
    cpu: float
    parts: dict[str, float]


def measure(system: str, setting: Setting) -> Start:
    """Run `system`, the bare loop or a runner, once. Raises CommandFailed."""
    return _bare(setting) if system == BARE else _mrmodel(system, setting)


def _bare(setting: Setting) -> Start:
    output = setting.folder / BARE
    output.mkdir(exist_ok=True)
    commands = bare_commands(setting, output, one=True)
    cost, _ = watch.run(commands, environment(setting.cores), setting.folder)
    return Start(BARE, cost.wall, cost.cpu, {})


def _mrmodel(runner: str, setting: Setting) -> Start:
    output = output_of(runner, runner, setting)
    command = mrmodel_command(runner, setting, output)
    cost, _ = watch.run([command], environment(None), setting.folder)
    run = storage.read_json(storage.join(output, "_mrmodel", "run.json"))
    parts = {"command": run["started"] - cost.began, **run["startup"]}
    return Start(runner, cost.wall, cost.cpu, {**parts, "end": cost.wall - sum(parts.values())})


def ratio(system: str, starts: Sequence[Start]) -> float:
    """The median wall time of `system` in those of the bare loop."""
    return median(_of(system, starts)) / median(_of(BARE, starts))


def _of(system: str, starts: Sequence[Start]) -> list[float]:
    return [start.wall for start in starts if start.system == system]


def tables(starts: Sequence[Start]) -> str:
    """Each system next to the bare loop, and the parts of each."""
    systems = list(dict.fromkeys(start.system for start in starts))
    rows = [_row(system, starts) for system in systems]
    names = ["command", *PARTS, "end"]
    parts = [_parts(s, names, starts) for s in systems if s != BARE]
    head = ["system", "seconds", "CPU s", "÷ bare", "goal"]
    return "\n\n".join([markdown([head, *rows]), markdown([["seconds", *names], *parts])])


def _row(system: str, starts: Sequence[Start]) -> list[str]:
    cpu = median(start.cpu for start in starts if start.system == system)
    found, goal = ratio(system, starts), ""
    if system == "inline":
        goal = f"≤ {GOAL}: {'reached' if found <= GOAL else 'not reached'}"
    return [system, spread(_of(system, starts)), f"{cpu:.2f}", f"{found:.2f}", goal]


def _parts(system: str, names: Sequence[str], starts: Sequence[Start]) -> list[str]:
    own = [start.parts for start in starts if start.system == system]
    middles = [median(part.get(name, 0.0) for part in own) for name in names]
    had = [any(name in part for part in own) for name in names]
    return [system, *(f"{m:.2f}" if h else "" for m, h in zip(middles, had, strict=True))]
