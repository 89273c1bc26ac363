"""Questions to Hadoop's web pages and ports, each with a time limit, and why they fail."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from mrmodel.driver.checks.base import Facts

_TIMEOUT = 5.0


class NoAnswerError(Exception):
    """Why a page does not answer. `refused` where something did, and said no."""

    def __init__(self, reason: str, refused: bool = False):
        super().__init__(reason)
        self.refused = refused


def get_json(url: str) -> dict[str, Any]:
    """The JSON object at `url`. Raises NoAnswerError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise NoAnswerError(f"HTTP {error.code} {error.reason}", refused=True) from error
    except ValueError as error:
        raise NoAnswerError("what it sends is not JSON", refused=True) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise NoAnswerError(getattr(reason, "strerror", None) or str(reason)) from error


def is_alive(address: str) -> bool:
    """Whether a Hadoop RPC port does more than take connections, as that of a stopped process
    still does. Asked in HTTP it says that it does not speak it."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _TIMEOUT) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
    except (OSError, ValueError):
        return False


def setting(facts: Facts, name: str, default: str, page: str = "") -> tuple[str, str]:
    """The value of the property `name` and who says so: the daemon whose `page` it is (default:
    the ResourceManager), else this machine's configuration, else Hadoop's `default`."""
    told = _daemons_setting(page or facts.pages, name)
    if told is not None:
        return told, "the cluster's"
    ours = facts.conf.get(name) if facts.conf else ""
    return (ours, "HADOOP_CONF_DIR's") if ours else (default, "Hadoop's default")


def _daemons_setting(page: str, name: str) -> str | None:
    if not page:
        return None
    try:
        told = get_json(f"{page}/conf?name={urllib.parse.quote(name)}")
    except NoAnswerError:
        return None
    return (told.get("property") or {}).get("value")
