"""HDFS: whether it answers, and whether jobs can write where they have to."""

from __future__ import annotations

import secrets
import time

from mrmodel import storage
from mrmodel.driver.checks.base import Check, Facts, Finding, fail, ok
from mrmodel.users import hadoop_user


def check_name_node(facts: Facts) -> Finding:
    """Whether the NameNode of fs.defaultFS answers."""
    default = facts.conf.get("fs.defaultFS")
    scheme, authority, _ = storage.split(default)
    if scheme != "hdfs" or not authority:
        return fail(
            f"fs.defaultFS is {default or 'not set'}: expected hdfs://NAMENODE",
            "set fs.defaultFS in core-site.xml",
        )
    facts.root = f"hdfs://{authority}"
    started = time.monotonic()
    storage.storage_for(facts.root).stat(facts.root + "/")
    milliseconds = 1000 * (time.monotonic() - started)
    login = facts.conf.get("hadoop.security.authentication", "simple")
    return ok(f"{facts.root} answered in {milliseconds:.0f} ms ({login} authentication)")


def check_home(facts: Facts) -> Finding:
    """Write, read and delete a small file in the user's folder: code and weights go there."""
    user = hadoop_user()
    facts.home = storage.join(facts.root, "user", user)
    there = storage.exists(facts.home)
    try:
        _write_read_delete(storage.join(facts.home, f".mrmodel-doctor-{secrets.token_hex(4)}"))
    except PermissionError as error:
        return fail(
            f"{user} may not write to {facts.home}: {error.strerror}",
            f"have an HDFS administrator run: hdfs dfs -mkdir -p /user/{user} && "
            f"hdfs dfs -chown {user} /user/{user}",
        )
    return ok(f"{facts.home} takes and gives files{'' if there else ' (it is new)'}")


def _write_read_delete(uri: str) -> None:
    data = secrets.token_bytes(1024)
    try:
        storage.write_bytes(uri, data)
        found = storage.read_bytes(uri)
    finally:
        try_to_delete(uri)
    if found != data:
        raise OSError(f"{uri}: read back other bytes than were written")


def try_to_delete(uri: str) -> None:
    """Delete `uri` if that is possible."""
    try:
        storage.storage_for(uri).delete(uri)
    except Exception:  # noqa: BLE001 what went wrong before matters more
        pass


CHECKS = [
    Check(
        "hdfs",
        check_name_node,
        needs=("pyarrow", "hdfs-native", "configuration"),
        remedy="start HDFS, or correct fs.defaultFS in core-site.xml",
    ),
    Check("home folder", check_home, needs=("hdfs",), remedy="see hdfs dfsadmin -report"),
]
