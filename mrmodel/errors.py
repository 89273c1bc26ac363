"""Every error that mrmodel raises on purpose. Imports nothing.

MrmodelError                    exit code 1
├── UsageError                  2   an option, or a combination of options, is wrong
│   └── OutputExistsError       2   the output is there already
├── InputError                  2   input that is missing or cannot be read
├── ModelError                  2   a model that is missing or cannot be loaded
├── JobError                    1   the job started and failed
│   ├── ModelOutputError        1   predict() broke its contract (not a bad row)
│   ├── MetricError             1   a metric cannot measure these predictions and labels
│   ├── LedgerError             1   rows in ≠ rows ok + rows bad, or a shard is missing
│   ├── TaskKilledError         1   the cluster killed the tasks (memory, time)
│   └── GangError               1   tasks that train together did not come or stay together
├── TooManyBadRowsError         3   complete, but more bad rows than --max-bad allows
├── ServiceError                4   a cluster or service cannot be reached
└── InterruptedJobError         130 Ctrl-C

A message says what was expected, what was received and what to do, in one line. Details that
need more lines (the user's own traceback, a task's last words) go into ``detail``.
"""

from __future__ import annotations


class MrmodelError(Exception):
    """Base of every error that mrmodel raises on purpose.

    ``exit_code`` is what the command line returns for it; ``detail`` is text of several lines
    that is shown under the message.
    """

    exit_code = 1

    def __init__(self, message: str, detail: str = ""):
        super().__init__(message)
        self.message = message
        self.detail = detail


class UsageError(MrmodelError):
    """An option, or a combination of options, is wrong. Nothing ran."""

    exit_code = 2


class OutputExistsError(UsageError):
    """The output is there already and neither --overwrite nor --resume was given."""


class InputError(MrmodelError):
    """Input that is missing or cannot be read. Nothing ran."""

    exit_code = 2


class ModelError(MrmodelError):
    """A model that is missing or cannot be loaded. Nothing was written."""

    exit_code = 2


class JobError(MrmodelError):
    """The job started and failed."""


class ModelOutputError(JobError):
    """predict() broke its contract: rows that do not align, an unknown type. Not a bad row."""


class MetricError(JobError):
    """A metric cannot measure these predictions and labels. Not a bad row: no row would do."""


class LedgerError(JobError):
    """The books do not balance: a row or a shard is missing, or is there twice."""


class TaskKilledError(JobError):
    """The cluster killed the tasks: over their memory, over their time."""


class GangError(JobError):
    """The members of a gang did not come together, or did not stay together."""


class TooManyBadRowsError(MrmodelError):
    """Complete, but with more bad rows than --max-bad allows; there is no _SUCCESS."""

    exit_code = 3


class ServiceError(MrmodelError):
    """A cluster or service cannot be reached."""

    exit_code = 4


class InterruptedJobError(MrmodelError):
    """The person stopped the job."""

    exit_code = 130


def by_name(name: str) -> type[MrmodelError]:
    """The class called `name`, for errors that travel from a task as text; JobError if unknown."""
    found = globals().get(name)
    if isinstance(found, type) and issubclass(found, MrmodelError):
        return found
    return JobError
