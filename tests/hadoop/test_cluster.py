"""The development cluster itself: its daemons are real, and they behave as a cluster's do."""

import re
import subprocess
import sys
import time

import pytest

from .conftest import SCRIPT, describe, run_script

pytestmark = pytest.mark.hadoop


def test_status_lists_every_daemon(cluster):
    shown = run_script(cluster.folder, "status")
    assert shown.returncode == 0, shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()[1:]]
    kinds = [row[0].partition("-")[0] for row in rows]
    assert kinds.count("datanode") == kinds.count("nodemanager") == cluster.nodes
    assert {"namenode", "resourcemanager", "historyserver"} < set(kinds)
    assert {row[-1] for row in rows} == {"up"}
