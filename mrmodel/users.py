"""Who runs this."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The name of the user; the number of one without a name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def hadoop_user() -> str:
    """The name under which Hadoop knows the user, where Kerberos does not say."""
    return os.environ.get("HADOOP_USER_NAME") or user_name()
