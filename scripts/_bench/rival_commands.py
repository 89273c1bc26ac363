"""scripts/bench rivals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrmodel.machine import cores

from . import agree, faults, rival_report, venvs
from .errors import BenchError
from .lines import user_lines
from .options import natural, positive, say, some_of, work_folder
from .report import by_system, machine
from .rival_list import NAMES, REFERENCE, REGIMES, System
from .rival_report import Results
from .rival_runs import Run, add_lines, interleaved, make_setting, measure, output_of, small
from .systems import Setting

TOLERANCE = 1e-4
PATIENCE = 1800
HERE = Path(__file__).parent
# what an environment's line names, beside the system itself
_TOLD = ("torch", "transformers", "pyarrow", "numpy")

EXAMPLES = """\
examples:
  scripts/bench rivals                                      sentences, every system, 3 repeats
  scripts/bench rivals --regime tabular                     what a system itself costs per row
  scripts/bench rivals --regime image --faults              a bad row and a killed worker, too
  scripts/bench rivals --systems mrmodel-local,spark,ray    some of them, and bare-processes
  scripts/bench rivals --rows 300 --repeat 1 --cold         a first look at what works
  scripts/bench rivals --repeat 0 --faults --rows 4000      the second table only

Systems: bare-processes (always, since all outputs are held against its), mrmodel-local and
mrmodel-inline; spark, ray, beam, dask, mrjob and sbert (sentence-transformers) where they have a
program for the regime. A -sorted one also puts texts of one length together, in the user's
function. Each rival is installed on first use into an environment of its own below --venvs, by pip
with whatever settings it finds (PIP_FIND_LINKS, PIP_CONSTRAINT, ...). Spark needs a Java.

Exit codes: 0 all outputs agree, 1 they do not, or a system failed or cannot be installed, 2 wrong
usage.
"""


def add_rivals(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "rivals",
        help="mrmodel predict against Spark, Ray, Beam, Dask and others",
        description="Batch inference by mrmodel and by what people would take in its place.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--regime", choices=tuple(REGIMES), default="text", help="default: text")
    add("--rows", type=positive, help="default: 8,000 texts, 5 million rows, 2,000 images")
    add("--systems", type=some_of(NAMES), help="default: all that the regime has")
    add("--repeat", type=natural, default=3, help="runs of each system (default 3)")
    add("--batch-size", type=positive,
        help="rows per forward pass (default: the model's; mrmodel finds its own)")  # fmt: skip
    add("--cores", type=positive, default=cores(), help="default: all")
    add("--faults", action="store_true", help="what a bad row does, and kill -9 of a worker")
    add("--patience", type=positive, default=PATIENCE, metavar="SECONDS",
        help="kill a run after so long (default 1,800)")  # fmt: skip
    add("--cold", action="store_true", help="no small run beforehand that does not count")
    add("--venvs", type=Path, default=venvs.default_folder(), metavar="DIR",
        help="the rivals' environments (default: ~/.cache/mrmodel/bench)")  # fmt: skip
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    parser.set_defaults(run=run_rivals)


def run_rivals(options: argparse.Namespace) -> int:
    """Install, measure, and tell."""
    systems = _chosen(options)
    environments, missing = install(systems, options.venvs)
    there = [system for system in systems if system.name not in missing]
    with work_folder(options.work) as folder:
        regime = REGIMES[options.regime]
        rows = options.rows or regime.rows
        setting = make_setting(regime, rows, options.batch_size, options.cores, folder.resolve())
        runs = _measured(there, setting, environments, options) if options.repeat else []
        differences = _differences(runs, there, setting)
        lines = {system.name: user_lines(system.sources, HERE) for system in systems}
        found = _faults(there, setting, environments, options) if options.faults else []
    results = Results(runs, differences, lines, missing)
    _tell(options, setting, results, found, environments)
    return _verdict(results)


def _chosen(options: argparse.Namespace) -> list[System]:
    regime = REGIMES[options.regime]
    names = [system.name for system in regime.systems]
    unknown = [name for name in options.systems or () if name not in names]
    if unknown:
        raise BenchError(
            f"--systems: there is no {unknown[0]} for --regime {options.regime}; "
            f"expected some of {', '.join(names)}"
        )
    wanted = {REFERENCE, *(options.systems or names)}
    return [system for system in regime.systems if system.name in wanted]


def install(
    systems: Sequence[System], folder: Path
) -> tuple[dict[str, venvs.Environment], dict[str, str]]:
    """The environments that `systems` need, and the systems whose could not be made, with the
    reason."""
    found: dict[str, venvs.Environment] = {}
    failed: dict[str, str] = {}
    for name in dict.fromkeys(system.venv for system in systems if system.venv):
        try:
            say(f"{name}: environment {folder / name}")
            found[name] = venvs.environment(name, folder.resolve())
        except venvs.InstallFailed as error:
            say(f"{name}: not installed: {error}")
            failed[name] = str(error)
    return found, {s.name: failed[s.venv] for s in systems if s.venv in failed}


def _measured(
    systems: list[System],
    setting: Setting,
    environments: dict[str, venvs.Environment],
    options: argparse.Namespace,
) -> list[Run]:
    add_lines(setting, systems)
    if not options.cold:
        _warm_up(systems, setting, environments, options.patience)
    runs = interleaved(systems, setting, environments, options.repeat, options.patience)
    place = {system.name: number for number, system in enumerate(systems)}
    return sorted(runs, key=lambda run: place[run.system])


def _warm_up(
    systems: list[System],
    setting: Setting,
    environments: dict[str, venvs.Environment],
    patience: float,
) -> None:
    """Read each system's libraries from the disk once, so that nobody has to be the first."""
    few = small(setting)
    add_lines(few, systems)
    for system in systems:
        measure(system, few, environments.get(system.venv), 0, patience)


def _differences(
    runs: Sequence[Run], systems: Sequence[System], setting: Setting
) -> dict[str, float]:
    """The largest difference of each system's last output to that of the bare loop."""
    failed = {run.system for run in runs if run.failure}
    if REFERENCE in failed or not runs:
        return {}
    tables = {
        system.name: agree.read_folder(output_of(system, setting))
        for system in systems
        if system.name not in failed
    }
    reference = tables.pop(REFERENCE)
    return {name: agree.difference(reference, table) for name, table in tables.items()}


def _faults(
    systems: Sequence[System],
    setting: Setting,
    environments: dict[str, venvs.Environment],
    options: argparse.Namespace,
) -> list[faults.Fault]:
    """Each system as documented: sorting changes nothing here."""
    spoilt, found = faults.spoil(setting), []
    for system in systems:
        if system.name.endswith("-sorted"):
            continue
        patience: float = options.patience
        for kind, rows in ((faults.bad_row, spoilt), (faults.kill_worker, setting)):
            fault = kind(system, rows, environments.get(system.venv), patience)
            # some wait for ever for a process that was killed
            patience = min(patience, faults.MUCH_LONGER * max(faults.SHORT, fault.seconds))
            say(f"{system.name}, {fault.kind}: exit code {fault.code}, {fault.seconds:.1f} s")
            found.append(fault)
    return found


def _tell(
    options: argparse.Namespace,
    setting: Setting,
    results: Results,
    found: Sequence[faults.Fault],
    environments: dict[str, venvs.Environment],
) -> None:
    versions = {
        name: {package: env.versions[package] for package in _packages(name, env)}
        for name, env in environments.items()
    }
    if options.json:
        figures = _figures(setting, results, found) | {"versions": versions}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    head = (
        f"rivals, {options.regime}: {setting.data.rows:,} rows, batch size {setting.batch_size}, "
        f"{setting.cores} cores, {options.repeat} repeats (medians)"
    )
    parts = [head, machine(), rival_report.versions_line(versions)]
    if results.runs or results.missing:
        parts.append(rival_report.table(results))
    if results.runs:
        parts.append(rival_report.verdict(results))
    if found:
        parts.append(rival_report.fault_table(found))
    print("\n\n".join(part for part in parts if part))


def _figures(
    setting: Setting, results: Results, found: Sequence[faults.Fault]
) -> dict[str, object]:
    return {
        "machine": machine(),
        "rows": setting.data.rows,
        "batch_size": setting.batch_size,
        "cores": setting.cores,
        "runs": [asdict(run) for run in results.runs],
        "ratios": {name: rival_report.ratios(results.runs, name) for name in results.lines},
        "differences": results.differences,
        "lines": results.lines,
        "missing": results.missing,
        "faults": [asdict(fault) for fault in found],
    }


def _packages(name: str, env: venvs.Environment) -> list[str]:
    system = {"spark": "pyspark", "beam": "apache-beam", "sbert": "sentence-transformers"}
    return [p for p in (system.get(name, name), *_TOLD) if p in env.versions]


def _verdict(results: Results) -> int:
    """The exit code; what is wrong goes to stderr."""
    code = 1 if results.missing else 0
    for name, runs in by_system(results.runs).items():
        if failures := [run.failure for run in runs if run.failure]:
            print(f"bench: {name} failed: {failures[0]}", file=sys.stderr)
            code = 1
    for name, value in results.differences.items():
        if not value <= TOLERANCE:
            print(f"bench: the output of {name} differs by {value:.1e}", file=sys.stderr)
            code = 1
    return code
