"""Globs as Hadoop writes them (``*``, ``?``, ``[..]``, ``{a,b}``) and ``**``, on any storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate

from mrmodel.storage import join, split
from mrmodel.storage.base import Entry, Storage

_MAGIC = re.compile(r"[*?\[{]")


def has_magic(text: str) -> bool:
    """Whether `text` can be read as a glob."""
    return _MAGIC.search(text) is not None


def fixed_part(pattern: str) -> str:
    """The folder of `pattern` above its first name that is a glob."""
    path = split(pattern)[2]
    names = path.split("/")
    first = next((i for i, name in enumerate(names) if has_magic(name)), len(names) - 1)
    return pattern[: len(pattern) - len(path)] + ("/".join(names[:first]) or "/")


def expand_glob(pattern: str, storage: Storage) -> list[Entry]:
    """The files and folders that match the normalised `pattern`, each once, sorted.

    A name in the pattern that exists as it is written is taken as it is. Wildcards do not match
    names that start with ``_`` or ``.`` unless the pattern's name does too.
    """
    # the fixed part is not listed: a folder that may be entered but not listed is no obstacle
    top = storage.stat(fixed_part(pattern))
    if top is None:
        return []
    rest = pattern[len(fixed_part(pattern).rstrip("/")) :]
    found = {entry.uri: entry for entry in _Walk(storage).match(top, _names(rest))}
    return [found[uri] for uri in sorted(found)]


class _Walk:
    """One glob's walk; remembers listings, which ``**`` and braces ask for again."""

    def __init__(self, storage: Storage):
        self.storage = storage
        self.listed: dict[str, dict[str, Entry]] = {}

    def ls(self, folder: Entry) -> dict[str, Entry]:
        if folder.uri not in self.listed:
            entries = self.storage.ls(folder.uri)
            self.listed[folder.uri] = {entry.name: entry for entry in entries}
        return self.listed[folder.uri]

    def match(self, entry: Entry, names: list[str]) -> Iterator[Entry]:
        """The entries that `names` lead to from `entry`."""
        if not names:
            yield entry
        elif entry.is_dir:
            name, rest = names[0], names[1:]
            for found, left in self._step(entry, name, rest):
                yield from self.match(found, left)

    def _step(self, folder: Entry, name: str, rest: list[str]) -> Iterator[tuple[Entry, list[str]]]:
        """Where the pattern's next name leads from `folder`, and the names left to match there."""
        if not has_magic(name):
            entry = self.storage.stat(join(folder.uri, name))
            yield from [(entry, rest)] if entry else []
        elif name in self.ls(folder):
            yield self.ls(folder)[name], rest
        elif name == "**":
            yield folder, rest
            if rest:  # without, `folder` stands for all below it
                for entry in self._visible(folder, "*"):
                    if entry.is_dir:
                        yield entry, [name, *rest]
        elif alternatives := _alternatives(name):
            for text in alternatives:
                yield folder, [*_names(text), *rest]
        else:
            for entry in self._visible(folder, name):
                yield entry, rest

    def _visible(self, folder: Entry, name: str) -> Iterator[Entry]:
        """The entries of `folder` that the wildcards of `name` match."""
        matches = re.compile(translate(name.replace("[^", "[!"))).match
        for entry in self.ls(folder).values():
            hides = entry.name.startswith(("_", ".")) and entry.name[0] != name[0]
            if matches(entry.name) and not hides:
                yield entry


def _names(pattern: str) -> list[str]:
    """`pattern` cut at the slashes that are not between braces."""
    names, depth = [""], 0
    for char in pattern:
        depth += (char == "{") - (char == "}")
        if char == "/" and depth <= 0:
            names.append("")
        else:
            names[-1] += char
    return [name for name in names if name]


def _alternatives(name: str) -> list[str]:
    """`name` with its first ``{a,b}`` replaced by each choice; nothing where there is none."""
    for start in (i for i, char in enumerate(name) if char == "{"):
        choices, end = _choices(name, start)
        if len(choices) > 1:
            return [name[:start] + choice + name[end:] for choice in choices]
    return []


def _choices(name: str, start: int) -> tuple[list[str], int]:
    """The choices between the brace at `start` and its partner, and where they end."""
    choices, depth = [""], 0
    for position in range(start, len(name)):
        char = name[position]
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return choices, position + 1
        if char == "," and depth == 1:
            choices.append("")
        elif position > start:
            choices[-1] += char
    return [], len(name)  # the brace is never closed: it is a character like others
