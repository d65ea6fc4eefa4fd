"""Ports for what tests start; each is given once while those tests run, on the whole machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

PORTS = range(20000, 30000)
"""Ports that the system does not give to outgoing connections."""

_locks: dict[int, int] = {}
"""For each port that is ours, its open lock, which ends with the process."""


def free_port(choices: range = PORTS) -> int:
    """Return a port that nothing listens on, and that no other tests are given.

    A program listens long after its port was chosen, so that the port looks free to others.
    """
    while True:
        port = random.choice(choices)
        if take(port) and is_free(port):
            return port


def is_free(port: int) -> bool:
    """Check whether nothing listens on a port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Check whether a program accepts connections on a port; many log that before they do."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def take(port: int) -> bool:
    """Make a port ours until the end of this process; return False if it is anybody's."""
    folder = Path(tempfile.gettempdir(), f"batchspawner-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    _locks[port] = lock
    return True
