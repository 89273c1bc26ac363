"""Which tests go together where pytest has several processes (`-n 2 --dist loadgroup`)."""

import pytest


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items):
    """All tests of the cluster in one process, so that there is one cluster; first, since they
    take longest."""
    items.sort(key=_needs_no_cluster)
    for item in items:
        if not _needs_no_cluster(item):
            item.add_marker(pytest.mark.xdist_group("hadoop"))


def _needs_no_cluster(item):
    return item.get_closest_marker("hadoop") is None
