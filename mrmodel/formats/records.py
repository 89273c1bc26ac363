"""Lines of CSV or TSV to records, by RFC 4180 and without the csv module.

That module refuses a lone "\\r", limits the length of a field for the whole process, and reads a
file with one quote too many silently to its end as one field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from mrmodel.formats.lines import Fault

Entry = str | Fault
# A quote left open takes in the lines that follow, up to so many characters.
MAX_RECORD = 16 << 20
_OPEN = re.compile(r'"([^"]*(?:""[^"]*)*)\Z')
_INSIDE = re.compile(r'[^"]*(?:""[^"]*)*\Z')


@dataclass(frozen=True)
class Record:
    """The fields of a record, or what is wrong with it, and its text."""

    fields: list[str] | Fault
    text: str


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern, re.Pattern]:
    """A field with what ends it, and the rest of a quoted field that began on an earlier line."""
    quoted, end = r'([^"]*(?:""[^"]*)*)"', f"({re.escape(delimiter)}|\\Z)"
    plain = f'((?!")[^{re.escape(delimiter)}]*)'
    return re.compile(f'(?:"{quoted}|{plain}){end}'), re.compile(quoted + end)


def parse(
    entries: list[Entry], delimiter: str, multiline: bool, final: bool
) -> tuple[list[Record], list[Entry]]:
    """The records in `entries`, and the lines at the end that need more lines to be a record.

    `multiline`: quoted fields may hold line breaks (a piece that is a whole file); otherwise each
    line is a record. `final`: there are no more lines. When a quote is never closed, or closed
    where it must not be, only the line that opened it is bad, and reading goes on after it.
    Empty lines are no records.
    """
    records: list[Record] = []
    at = 0
    while at < len(entries):
        entry = entries[at]
        used = 1
        if isinstance(entry, Fault):
            records.append(Record(entry, entry.record or ""))
        elif '"' not in entry:
            if entry:
                records.append(Record(entry.split(delimiter), entry))
        else:
            fields, used = _quoted(entries, at, delimiter, multiline)
            if fields is None and not final and _size(entries[at:]) < MAX_RECORD:
                return records, entries[at:]
            if isinstance(fields, list):
                records.append(Record(fields, "\n".join(entries[at : at + used])))
            else:
                used = 1
                records.append(Record(fields or _unbalanced(multiline), entry))
        at += used
    return records, []


def _size(entries: list[Entry]) -> int:
    return sum(len(entry) + 1 for entry in entries if isinstance(entry, str))


def _unbalanced(multiline: bool) -> Fault:
    remedy = (
        "close it, or double a quote that is data"
        if multiline
        else "where fields hold line breaks, give a --shard-size larger than the file, so that "
        "it is not cut"
    )
    return Fault("UnbalancedQuote", f"a quoted field is opened but not closed: {remedy}")


def _quoted(
    entries: list[Entry], at: int, delimiter: str, multiline: bool
) -> tuple[list[str] | Fault | None, int]:
    """The fields of the record that begins with the line `at`, and how many lines it has; None
    where the last of `entries` leaves a quote open."""
    field, rest_of_field = _patterns(delimiter)
    fields: list[str] = []
    line, position, used = entries[at], 0, 1
    while True:
        match = field.match(line, position)
        if match is None:
            opening = _OPEN.match(line, position)
            if opening is None:
                return _misquoted(position), used
            if not multiline:
                return _unbalanced(multiline), used
            match, text, used = _close(entries, at, used, opening[1], rest_of_field)
            if match is None:
                return (None if text is None else _misquoted(position)), used
            fields.append(text.replace('""', '"'))
            line, ended = match.string, match[2]
        else:
            fields.append(match[2] if match[1] is None else match[1].replace('""', '"'))
            ended = match[3]
        position = match.end()
        if not ended:
            return fields, used


def _misquoted(position: int) -> Fault:
    message = (
        f"expected a delimiter or the end of the line after the quoted field at position {position}"
        ": double a quote that is data"
    )
    return Fault("MisplacedQuote", message)


def _close(
    entries: list[Entry], at: int, used: int, text: str, rest_of_field: re.Pattern
) -> tuple[re.Match | None, str | None, int]:
    """Where the field that is open after `used` lines is closed, its text, and the lines used.

    No match: the field is closed where it must not be, or (the text None) not at all.
    """
    parts = [text]
    while at + used < len(entries):
        line = entries[at + used]
        used += 1
        if isinstance(line, Fault):
            return None, "", used
        if match := rest_of_field.match(line):
            return match, "\n".join([*parts, match[1]]), used
        if not _INSIDE.match(line):
            return None, "", used
        parts.append(line)
    return None, None, used
