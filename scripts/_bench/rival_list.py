"""Which systems are compared, on what, and how each is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from .systems import Setting, bare_commands, mrmodel_command

RIVALS = Path(__file__).parent / "rivals"
REFERENCE = "bare-processes"  # all outputs are held against its
OURS = "mrmodel-local"  # all speeds are
LINES = "in-lines"  # a folder for the rows as JSON lines


@dataclass(frozen=True)
class System:
    """`commands(setting, output, python)` start it; `venv` is the environment whose `python` that
    is, None for this one's. `one_process` has all cores as threads; the others have a process of
    one thread for each. A user writes `sources`, paths below scripts/_bench (see lines.py)."""

    name: str
    commands: Callable[[Setting, Path, str], list[list[str]]]
    sources: tuple[str, ...]
    venv: str | None = None
    one_process: bool = False
    needs_lines: bool = False


@dataclass(frozen=True)
class Regime:
    """Rows of `workload`, of them `rows` unless somebody says otherwise; `noted` is the class in
    rivals/noted.py that mrmodel runs."""

    workload: str
    rows: int
    noted: str
    systems: tuple[System, ...]

    def system(self, name: str) -> System:
        """The one called `name`."""
        return next(system for system in self.systems if system.name == name)


def _bare(setting: Setting, output: Path, python: str) -> list[list[str]]:
    output.mkdir(parents=True)
    return bare_commands(setting, output, one=False)


def _mrmodel(runner: str) -> Callable[[Setting, Path, str], list[list[str]]]:
    return lambda setting, output, python: [mrmodel_command(runner, setting, str(output))]


def _program(name: str, *more: str) -> Callable[[Setting, Path, str], list[list[str]]]:
    """A program of rivals/ with the command line that they share."""
    return lambda setting, output, python: [
        [
            *(python, str(RIVALS / f"{name}.py"), *map(str, setting.data.files)),
            *("--out", str(output), "--weights", str(setting.weights)),
            *("--batch-size", str(setting.batch_size), "--cores", str(setting.cores), *more),
        ]
    ]


def _mrjob(name: str, *more: str) -> Callable[[Setting, Path, str], list[list[str]]]:
    """A job of mrjob's, with mrjob's command line."""
    return lambda setting, output, python: [
        [
            *(python, str(RIVALS / f"{name}.py"), "--no-conf", "-r", "local"),
            *("--num-cores", str(setting.cores), "--output-dir", str(output)),
            *("--weights", str(setting.weights), "--batch-size", str(setting.batch_size), *more),
            *map(str, _line_files(setting)),
        ]
    ]


def _line_files(setting: Setting) -> list[Path]:
    """Where the rows are as JSON lines: a file for each core, since mrjob starts a task for each
    file."""
    folder = setting.folder / LINES
    return [folder / f"rows-{number}.jsonl" for number in range(setting.cores)]


def write_lines(setting: Setting) -> None:
    """The rows as JSON lines, for those who read nothing else. Not part of what is measured."""
    (setting.folder / LINES).mkdir(exist_ok=True)
    for number, path in enumerate(_line_files(setting)):
        with path.open("w", encoding="utf-8") as out:
            for file in setting.data.files[number :: setting.cores]:
                for batch in pq.ParquetFile(file).iter_batches():
                    out.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())


def _ours(*sources: str, bare: str) -> tuple[System, ...]:
    return (
        System(REFERENCE, _bare, (f"bare.py:{bare},predict,main",)),
        System(OURS, _mrmodel("local"), sources),
        System("mrmodel-inline", _mrmodel("inline"), sources, one_process=True),
    )


def _text(name: str) -> tuple[System, ...]:
    """As documented, and sorted by length in the user's function."""
    kind = _mrjob if name == "mrjob" else _program
    sources = (f"rivals/{name}_text.py", "rivals/embedder.py")
    lines = name == "mrjob"
    return tuple(
        System(f"{name}{ending}", kind(f"{name}_text", *more), sources, name, needs_lines=lines)
        for ending, more in (("", ()), ("-sorted", ("--sorted",)))
    )


def _other(name: str, regime: str, model: str) -> System:
    kind, lines = (_mrjob, True) if name == "mrjob" else (_program, False)
    sources = (f"rivals/{name}_{regime}.py", model)
    return System(name, kind(f"{name}_{regime}"), sources, name, needs_lines=lines)


_SBERT = ("rivals/sbert_text.py",)
_POOL = ("rivals/sbert_pool_text.py",)
_MLP = "mlp.py:MLP"
_RESNET = "resnet.py:Block,ResNet,decode"
_LOADER = "rivals/loader_image.py"

REGIMES = {
    "text": Regime(
        "embed",
        8_000,
        "Text",
        (
            *_ours("../../examples/embed/model.py", bare="Embed"),
            *_text("spark"),
            *_text("ray"),
            *_text("beam"),
            *_text("dask"),
            *_text("mrjob"),
            System("sbert", _program("sbert_text"), _SBERT, "sbert", one_process=True),
            System("sbert-pool", _program("sbert_pool_text"), _POOL, "sbert"),
        ),
    ),
    "tabular": Regime(
        "tabular",
        5_000_000,
        "Tabular",
        (
            *_ours(_MLP, bare="Tabular"),
            *(_other(name, "tabular", _MLP) for name in ("spark", "ray", "dask", "mrjob")),
        ),
    ),
    "image": Regime(
        "images",
        2_000,
        "Image",
        (
            *_ours("classify.py", _RESNET, bare="Images"),
            System("bare-loader", _program("loader_image"), (_LOADER, _RESNET), one_process=True),
            *(_other(name, "image", _RESNET) for name in ("spark", "ray")),
        ),
    ),
}
NAMES = tuple(dict.fromkeys(s.name for regime in REGIMES.values() for s in regime.systems))
