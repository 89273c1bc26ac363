"""From what Hadoop prints to one line."""

import pytest

from mrmodel.errors import JobError, ServiceError, TaskKilledError, UsageError
from mrmodel.runners.hadoop_errors import explain

MEMORY = """Container [pid=4711,containerID=container_1_0001_01_000002] is running 12345B beyond the
'PHYSICAL' memory limit. Current usage: 1.2 GB of 1 GB physical memory used; 3.1 GB of 2.1 GB
virtual memory used. Killing container."""
TEXTS = [
    (
        MEMORY.replace("\n", " "),
        TaskKilledError,
        "used 1.2 GB of 1 GB physical memory.*raise --memory",
    ),
    (
        "Container is running beyond physical memory limits. Killing container.",
        TaskKilledError,
        "used more of its physical memory",
    ),
    (
        'java.io.IOException: Cannot run program "/opt/py": error=2, No such file or directory',
        JobError,
        "the nodes have no /opt/py: expected the interpreter.*--python",
    ),
    ("Container exited with exitCode: 137", TaskKilledError, "killed from outside"),
    (
        "ModuleNotFoundError: No module named 'torch.nn'",
        JobError,
        "could not import torch.nn.*--py-files",
    ),
    (
        "InvalidResourceRequestException: Invalid resource request! Cannot allocate 99 GB\nmore",
        UsageError,
        "Cannot allocate 99 GB; lower --memory or --vcores$",
    ),
    (
        'AccessControlException: Permission denied: user=me, access=WRITE, inode="/"\nat x',
        UsageError,
        "Hadoop denied access: .*user=me, access=WRITE",
    ),
    ("AttemptID:attempt_1 Timed out after 600 secs", TaskKilledError, "said nothing for 600 s"),
    ("Call From a to b:8020 failed: Connection refused; see", ServiceError, "Connection refused"),
]


@pytest.mark.parametrize(("text", "kind", "message"), TEXTS, ids=[text[:30] for text, *_ in TEXTS])
def test_known_texts(text, kind, message):
    error = explain(f"INFO first\n{text}\nINFO last")
    assert type(error) is kind
    pytest.raises(kind, _raise, error).match(message)
    assert "\n" not in error.message


def _raise(error):
    raise error


def test_unknown_texts():
    assert explain("") is None
    assert explain("Job job_1 failed with state FAILED due to: Task failed") is None


def test_the_cause_comes_before_what_follows_from_it():
    text = "Connection refused\n" + MEMORY.replace("\n", " ")
    assert type(explain(text)) is TaskKilledError
