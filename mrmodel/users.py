"""Who runs this, and where things are kept for them."""

from __future__ import annotations

import getpass
import os
from pathlib import Path


def user_name() -> str:
    """The name of the user; the number of one without a name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def cache_folder() -> Path:
    """Where what may be made again is kept for later jobs: MRMODEL_CACHE_DIR, else a folder below
    that of the user's caches."""
    named = os.environ.get("MRMODEL_CACHE_DIR")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrmodel"


def hadoop_user() -> str:
    """The name under which Hadoop knows the user, where Kerberos does not say."""
    return os.environ.get("HADOOP_USER_NAME") or user_name()
