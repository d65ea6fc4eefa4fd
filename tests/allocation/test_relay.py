"""The program on a login host, to which anybody on the cluster may connect."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading

from batchspawner.allocation import relay
from tests.hubs import wait_for

MAX_FILES = 40


@contextlib.contextmanager
def relaying():
    """Run the program for a port that answers with what it gets; yield where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        threading.Thread(target=echo, args=(target,), daemon=True).start()
        command = [sys.executable, relay.__file__, str(target.getsockname()[1])]
        limit = (MAX_FILES, MAX_FILES)
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
        ) as process:
            addresses = json.loads(process.stdout.readline())
            yield "127.0.0.1", addresses[0][1]
            process.stdin.close()


def echo(target):
    with contextlib.suppress(OSError):  # it is closed
        while True:
            connection, _ = target.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(100):
            connection.sendall(data)


def is_heard(address) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, 5) as one:
        one.settimeout(5)
        one.sendall(b"hello")
        return one.recv(100) == b"hello"
    return False


def test_agents_are_heard_again_after_more_connections_than_files_may_be_open():
    with relaying() as address:
        assert is_heard(address)
        with contextlib.ExitStack() as stack:
            for _ in range(2 * MAX_FILES):
                stack.enter_context(socket.create_connection(address, 5)).sendall(b"x")
            wait_for(lambda: not is_heard(address), 10, "too many open files")
        wait_for(lambda: is_heard(address), 20, "an agent to be heard again")
