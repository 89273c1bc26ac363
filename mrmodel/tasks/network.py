"""Which of this machine's addresses the other machines of a job can reach."""

from __future__ import annotations

import socket

import psutil

from mrmodel import storage


def own_address(uri: str) -> str:
    """The address from which this machine reaches the file system of `uri`, which every machine of
    a job does. A host's own name often stands for 127.0.1.1 in its own eyes."""
    if storage.is_local(uri):
        return "127.0.0.1"
    host = storage.split(uri)[1].rpartition("@")[2].partition(":")[0]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing
            return probe.getsockname()[0]
    except OSError:  # a name of several NameNodes, which is no host's
        return socket.gethostbyname(socket.gethostname())


def interface_of(address: str) -> str | None:
    """The network interface that has `address`; None where there is none."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            return name
    return None
