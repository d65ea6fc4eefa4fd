"""A program that the agent has started in the job, with its pipes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import deque

from .protocol import OWN_PYTHON

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Callable

    from .protocol import Header


MAX_FOLDER_LENGTH = 60
"""Characters in a folder of temporary files with which names of sockets are short enough."""


class ChildProcess:
    """One program, started as an order says, in a session of its own.

    `pending` is input that the program has not taken yet; `closing` is true if no more will come.
    `exited` is when it was seen to have ended, by the monotonic clock. `folder` is its private
    folder, or empty. Raises OSError or ValueError if the program cannot be started.
    """

    def __init__(self, order: Header) -> None:
        self.id: str = order["id"]
        self.ports: list[int] = []
        self.pending: deque[bytes] = deque()
        self.closing = False
        self.exited: float | None = None
        self.folder = ""
        replace = self._prepare(order)
        env = {name: replace(value) for name, value in order.get("env", {}).items()}
        for name, variables in order.get("expand", {}).items():
            for variable in variables:
                # One that the job does not have stays as it is, as in a kernel without a job.
                value = os.environ.get(variable, f"${{{variable}}}")
                env[name] = env[name].replace(f"${{{variable}}}", value)
        self.process = subprocess.Popen(
            [sys.executable if word == OWN_PYTHON else replace(word) for word in order["argv"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
            cwd=order.get("cwd") or None,
            start_new_session=True,
        )
        for pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)

    @property
    def stdin(self) -> IO[bytes]:
        return self._pipes()[0]

    def outputs(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield the names and the pipes of what the program prints."""
        return zip(("stdout", "stderr"), self._pipes()[1:])

    def _pipes(self) -> tuple[IO[bytes], ...]:
        pipes = (self.process.stdin, self.process.stdout, self.process.stderr)
        return tuple(pipe for pipe in pipes if pipe is not None)

    def _prepare(self, order: Header) -> Callable[[str], str]:
        """Reserve ports and write files; return a function that fills in their placeholders.

        The placeholders are ``{host}``, ``{folder}`` and ``{port0}``, ``{port1}`` …
        """
        count: int = order.get("ports", 0)
        held = [socket.socket() for _ in range(count)]
        for one in held:
            one.bind(("", 0))
        self.ports = [_port(one) for one in held]
        placeholders = {f"{{port{number}}}": str(port) for number, port in enumerate(self.ports)}
        placeholders["{host}"] = socket.gethostname()

        def replace(text: str) -> str:
            for placeholder, value in placeholders.items():
                text = text.replace(placeholder, value)
            return text

        if order.get("files"):
            self.folder = placeholders["{folder}"] = _private_folder()
            for name, text in order["files"].items():
                with open(os.path.join(self.folder, os.path.basename(name)), "x") as file:
                    os.chmod(file.fileno(), 0o600)
                    file.write(replace(text))
        for one in held:
            one.close()
        return replace

    def signal(self, number: int) -> None:
        """Send a signal to the program and to all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def write_pending(self) -> bool:
        """Write as much input as the program takes; return whether some is left."""
        while self.pending:
            data = self.pending.popleft()
            try:
                done = os.write(self.stdin.fileno(), data)
            except BlockingIOError:
                done = 0
            except OSError:
                self.pending.clear()
                self.closing = True
                return False
            if done < len(data):
                self.pending.appendleft(data[done:])
                return True
        return False

    def close(self) -> None:
        """Close the pipes, and remove the program's folder."""
        for pipe in self._pipes():
            with contextlib.suppress(OSError):
                pipe.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> str:
    """Make a folder in which also the names of sockets are short enough for the system."""
    place = tempfile.gettempdir()
    short = place if len(place) < MAX_FOLDER_LENGTH else "/tmp"  # noqa: S108  (it is private there)
    return tempfile.mkdtemp(prefix="batchspawner-", dir=short)


def _port(one: socket.socket) -> int:
    return int(one.getsockname()[1])
