"""Which jobs `scripts/bench scaling` runs: along each axis, for the fit alone, and held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .scaling import Run, Shape

NAMES = ("rows", "files", "columns", "model", "shards", "tasks")


@dataclass(frozen=True)
class Axis:
    """`shapes` that differ in one thing; `amount` says how much of it a run had; `unit` is
    how a line's slope ends."""

    name: str
    unit: str
    shapes: tuple[Shape, ...]
    amount: Callable[[Run], float]


def axes(runner: str, cores: int, size: float = 1.0) -> list[Axis]:
    """The axes of `runner`, with `size` times the usual rows and files."""
    base = Shape(_of(400_000, size), workers=cores if runner == "local" else 1)
    on_yarn = runner == "hadoop"
    found = [
        _rows(base, size),
        _files(base, size, (1, 10, 30, 100) if on_yarn else (1, 10, 100, 1_000, 3_000, 10_000)),
        _columns(base, size),
        _model(base, size),
        _shards(base, size, (1, 2, 4, 8, 16) if on_yarn else (1, 10, 100, 300, 1_000)),
    ]
    return [*found, _tasks(base, size, cores)] if runner == "local" else found


def _of(amount: float, size: float) -> int:
    return max(1, round(amount * size))


def _rows(base: Shape, size: float) -> Axis:
    """1×, 10× and 100×, with steps between."""
    counts = [_of(rows, size) for rows in (40_000, 120_000, 400_000, 1_200_000, 4_000_000)]
    shapes = tuple(replace(base, rows=count) for count in counts)
    return Axis("rows", "for each row", shapes, lambda run: run.shape.rows)


def _files(base: Shape, size: float, counts: Sequence[int]) -> Axis:
    rows = replace(base, rows=_of(100_000, size), columns=10)
    files = dict.fromkeys(_of(count, size) for count in counts)
    shapes = tuple(replace(rows, files=count) for count in files)
    return Axis("files", "for each file", shapes, lambda run: run.shape.files)


def _columns(base: Shape, size: float) -> Axis:
    rows = replace(base, rows=_of(50_000, size))
    shapes = tuple(replace(rows, columns=columns) for columns in (1, 10, 100, 300, 1_000))
    return Axis("columns", "for each column", shapes, lambda run: run.shape.columns)


def _model(base: Shape, size: float) -> Axis:
    """0.01 to 8 million parameters."""
    rows = replace(base, rows=_of(25_000, size))
    shapes = tuple(replace(rows, width=width) for width in (64, 256, 512, 1_024, 2_048))
    return Axis(
        "model", "for each million operations on a row", shapes, lambda run: run.shape.flops / 1e6
    )


def _shards(base: Shape, size: float, counts: Sequence[int]) -> Axis:
    """A file each; on hadoop, a task each."""
    rows = replace(base, rows=_of(20_000, size), columns=4, shard_each=True)
    files = dict.fromkeys(_of(count, size) for count in counts)
    shapes = tuple(replace(rows, files=count) for count in files)
    return Axis("shards", "for each shard", shapes, lambda run: run.shape.files)


def _tasks(base: Shape, size: float, cores: int) -> Axis:
    """Worker processes, up to twice the cores. What is divided by them is the time."""
    counts = sorted({1, 2, max(1, cores // 2), cores, 2 * cores})
    rows = replace(base, rows=_of(600_000, size), files=8, width=256)
    shapes = tuple(replace(rows, workers=count) for count in counts)
    return Axis("tasks", "÷ tasks at once", shapes, lambda run: 1 / run.slots)


def mixed(runner: str, cores: int, size: float = 1.0) -> list[Shape]:
    """Jobs that differ in several things, for the fit to tell these apart: many rows that are
    narrow, or wide, many files with many columns; and, of local, some with one worker."""
    workers = cores if runner == "local" else 1
    few = runner == "hadoop"
    shapes = [
        Shape(2_000_000, 4, 3, 64, workers),
        Shape(1_000_000, 8, 10, 192, workers),
        Shape(1_000_000, 4, 60, 32, workers),
        Shape(300_000, 16 if few else 100, 100, 256, workers),
        Shape(50_000, 40 if few else 1_000, 100, 64, workers),
    ]
    if runner == "local":
        shapes += [Shape(100_000, 2_000, 10, 64), Shape(400_000, 4, 30, 64)]
    return [_sized(shape, size) for shape in shapes]


def held_out(runner: str, cores: int, size: float = 1.0) -> list[Shape]:
    """Jobs that no fit sees: other rows, files, columns and widths, several at once."""
    workers = cores if runner == "local" else 1
    few = runner == "hadoop"
    shapes = [
        Shape(1_500_000, 6, 20, 128, workers),
        Shape(60_000, 60 if few else 3_000, 20, 64, workers),
        Shape(30_000, 5, 400, 768, workers),
        Shape(500_000, 12 if few else 200, 50, 64, workers, shard_each=True),
    ]
    return [_sized(shape, size) for shape in shapes]


def _sized(shape: Shape, size: float) -> Shape:
    rows = _of(shape.rows, size)
    files = shape.files if size >= 1 else max(1, min(rows, _of(shape.files, size)))
    return replace(shape, rows=rows, files=files)
