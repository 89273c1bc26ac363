"""OUTPUT and the staging folder beside it: what is there, and what may happen to it.

The staging folder is ``.NAME.mrmodel`` beside OUTPUT: hidden, so that no reader takes it for
data, and on the same file system (and in the same encryption zone), so that the commit is a
rename. It stays when a job fails or is killed and some shards are finished: --resume goes on
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mrmodel import storage
from mrmodel.errors import OutputExistsError, UsageError
from mrmodel.specs import OutputSpec
from mrmodel.tasks.staging import Staging
from mrmodel.users import hadoop_user, user_name


@dataclass(frozen=True)
class Target:
    """`uri`: OUTPUT, normalised; `exists`: it was there at the start; `run`: its run.json."""

    uri: str
    exists: bool
    run: dict[str, Any] | None
    staging: Staging

    @property
    def is_complete(self) -> bool:
        return storage.exists(storage.join(self.uri, "_SUCCESS"))

    @property
    def outgoing(self) -> str:
        """Where the old output waits while the new one takes its place."""
        return self.staging.folder("old")


def open_target(output: OutputSpec) -> Target:
    """Look at OUTPUT. Raises OutputExistsError where it may not be touched, UsageError where it
    cannot be written."""
    uri = storage.normalise(output.uri)
    staging = Staging(storage.join(storage.parent(uri), f".{storage.basename(uri)}.mrmodel"))
    try:
        put_back_old(uri, staging)
        entry = storage.storage_for(uri).stat(uri)
    except PermissionError as error:
        raise _not_permitted(uri, error) from error
    if entry is not None and not (output.overwrite or output.resume):
        raise OutputExistsError(
            f"output {uri} exists already: use --overwrite to replace it, --resume to complete "
            f"it, or name another"
        )
    if entry is not None and not entry.is_dir:
        raise UsageError(f"output {uri} is a file: expected a folder that mrmodel made")
    run = _run_json(uri) if entry is not None else None
    if entry is not None and run is None and output.resume:
        raise UsageError(f"output {uri} has no _mrmodel/run.json: expected one that mrmodel made")
    return Target(uri, entry is not None, run, staging)


def prepare_staging(target: Target, identity: dict[str, str], resume: bool) -> str | None:
    """Make the staging folder ready; the reason why nothing in it can be kept, None if all can.

    Raises UsageError when it cannot be written.
    """
    try:
        found = target.staging.read_identity()
        reason = _difference(found, identity) if resume and found else None
        if not resume or reason or found is None:
            target.staging.delete()
        target.staging.write_identity(identity)
        target.staging.clear_errors()
        target.staging.clear_reduced()
        target.staging.clear_work()
        return reason
    except PermissionError as error:
        raise _not_permitted(target.uri, error) from error
    except OSError as error:
        raise UsageError(f"output {target.uri} cannot be made: {error}") from error


def check_input(target: Target, uris: Iterable[str]) -> None:
    """Raise UsageError when one of the input files `uris` lies in OUTPUT: replacing OUTPUT would
    delete it, and predictions would be read as input."""
    inside = next((uri for uri in uris if uri.startswith(target.uri.rstrip("/") + "/")), None)
    if inside is not None:
        raise UsageError(
            f"input file {inside} lies in the output {target.uri}: name another output, or narrow "
            f"the input"
        )


def difference_to_output(target: Target, identity: dict[str, str]) -> str | None:
    """Why the shards of the existing OUTPUT do not count for this run; None if they do."""
    if target.run is None:
        return None
    return _difference(target.run.get("identity"), identity)


def _difference(found: dict[str, str] | None, identity: dict[str, str]) -> str | None:
    changed = [name for name in identity if (found or {}).get(name) != identity[name]]
    return f"the {' and the '.join(changed)} changed" if changed else None


def _run_json(uri: str) -> dict[str, Any] | None:
    path = storage.join(uri, "_mrmodel", "run.json")
    return storage.read_json(path) if storage.exists(path) else None


def put_back_old(uri: str, staging: Staging) -> None:
    """A driver that was killed between moving the old output away and moving the new one in left
    no output at all: the old one comes back."""
    old = staging.folder("old")
    if storage.exists(old) and not storage.exists(uri):
        storage.storage_for(uri).rename(old, uri)


def _not_permitted(uri: str, error: Exception) -> UsageError:
    user = user_name() if storage.is_local(uri) else hadoop_user()
    return UsageError(
        f"output {uri} cannot be written as user {user}: {error}; choose a folder that you may "
        f"write, or ask for the permission"
    )
