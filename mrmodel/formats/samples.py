"""A look at the first lines of some files, from which types are inferred."""

from __future__ import annotations

from collections.abc import Sequence

from mrmodel.formats.lines import Fault, first_lines

SAMPLE_BYTES = 1 << 20
SAMPLE_LINES = 1000
SAMPLE_FILES = 16
# values of one kind that make it the column's: those of others are then bad rows, not a reason to
# refuse the file
MAJORITY = 0.9


def spread(uris: Sequence[str], count: int = SAMPLE_FILES) -> list[str]:
    """At most `count` of `uris`, from the first to the last at even distances."""
    if len(uris) <= count:
        return list(uris)
    return [uris[i * (len(uris) - 1) // (count - 1)] for i in range(count)]


def sample(uri: str) -> list[str | Fault]:
    """The first lines of `uri`. Raises InputError when it cannot be read."""
    found: list[str | Fault] = []
    for lines in first_lines(uri, SAMPLE_BYTES):
        found += lines.decoded()
        if len(found) >= SAMPLE_LINES:
            break
    return found[:SAMPLE_LINES]
