"""Which tests go together where pytest has several processes, and what these begin with."""

import signal

import pytest
from xdist.scheduler import LoadScopeScheduling

HADOOP = "tests/hadoop"
# who starts tests in the background (`... &` of a script) has them ignore Ctrl-C, and with them
# the commands that are sent one
signal.signal(signal.SIGINT, signal.default_int_handler)


class Together(LoadScopeScheduling):
    """The tests of a file in one process, and all that need the cluster: so there is one."""

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return HADOOP if file.startswith(f"{HADOOP}/") else file


@pytest.hookimpl(optionalhook=True)  # for -p no:xdist
def pytest_xdist_make_scheduler(config, log):
    """A group of xdist's own (`loadgroup`) would do, but not with pytest 9.2 and xdist 3.8."""
    return Together(config, log)


def pytest_collection_modifyitems(items):
    """Those that take longest come first."""
    items.sort(key=lambda item: not item.nodeid.startswith(f"{HADOOP}/"))
