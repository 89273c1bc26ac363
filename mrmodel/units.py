"""Sizes and shares as people write them: ``128MB``, ``2%``."""

from __future__ import annotations

import csv
import math
import re
from fractions import Fraction

from mrmodel.errors import UsageError

_SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)(i?b?)\s*$", re.IGNORECASE)
_SHARE = re.compile(r"[0-9]+/0*[1-9][0-9]*|0?\.[0-9]+")
AUTO = "auto"
USUAL_SHARD = 128 << 20
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str | int, name: str = "size") -> int:
    """Bytes in `text` (``128MB``, ``1.5g``, ``4096``), in powers of 1,024.

    Raises UsageError when `text` is not a size above zero.
    """
    match = _SIZE.match(str(text))
    size = float(match[1]) * 1024 ** _POWERS[match[2].lower()] if match else 0.0
    if not 1 <= size < math.inf:
        raise UsageError(f"{name}: expected a size such as 128MB or 4GB but received {text!r}")
    return int(size)


def parse_shard_size(text: str | int) -> int:
    """--shard-size in bytes; what it is by default for ``auto``, which may come to another size.

    Raises UsageError when `text` is neither.
    """
    return USUAL_SHARD if text == AUTO else parse_size(text, "--shard-size")


def format_size(size: float) -> str:
    """`size` bytes for people: ``1.5 GB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def duration(seconds: float) -> str:
    """``1h 02m``, ``3m 20s`` or ``12s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def parse_budget(text: str | int) -> tuple[int | None, float | None]:
    """--max-bad: (rows, None) for ``10``, (None, share) for ``2%``.

    Raises UsageError when `text` is neither.
    """
    value = str(text).strip()
    number = value[:-1] if value.endswith("%") else value
    try:
        amount = float(number) if value.endswith("%") else int(number)
    except ValueError:
        amount = -1
    if not amount >= 0 or (value.endswith("%") and amount > 100):  # NaN is neither
        raise UsageError(
            f"--max-bad: expected a number of rows (10) or a share (2%) but received {text!r}"
        )
    return (None, amount / 100) if value.endswith("%") else (int(amount), None)


def parse_min_shards(text: str | float) -> Fraction:
    """--min-shards: the share of a round's shards that ``3/4`` or ``0.75`` is.

    Raises UsageError when `text` is neither, or not above 0 and at most 1.
    """
    value = str(text).strip()
    share = Fraction(value) if _SHARE.fullmatch(value) else Fraction(0)
    if not 0 < share <= 1:
        raise UsageError(
            f"--min-shards: expected a share of the shards, above 0 and at most 1, such as 3/4 or "
            f"0.75, but received {text!r}"
        )
    return share


def parse_batch_rows(text: str, auto: int) -> int:
    """--batch-size where it is not measured: its rows, or `auto` for that word.

    Raises UsageError when `text` is neither.
    """
    if text == "auto":
        return auto
    if not (text.isdigit() and int(text)):
        raise UsageError(f"--batch-size: expected a number of rows but received {text!r}")
    return int(text)


def parse_columns(text: str | None) -> tuple[str, ...] | None:
    """Column names of a comma-separated list; a name with a comma in it stands in double quotes
    (``id,"last, first"``), as in CSV. None stays None."""
    if text is None:
        return None
    names = next(csv.reader([text], skipinitialspace=True), [])
    return tuple(name for name in names if name)


def within_budget(budget: str, bad: int, total: int) -> bool:
    """Whether `bad` of `total` rows are no more than `budget` (N or P%) allows."""
    count, share = parse_budget(budget)
    limit = count if count is not None else (share or 0.0) * total
    # 0.29 * 100 is a little less than 29
    return bad <= limit * (1 + 1e-12)
