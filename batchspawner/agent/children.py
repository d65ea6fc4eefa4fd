"""Start programs in the job, and hold their pipes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections import deque

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any, Callable


class Child:
    """Hold one program that was started, with its pipes."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.id = order["id"]
        self.ports: list[int] = []
        self.pending: deque[bytes] = deque()
        self.closing = False
        self.exited: float | None = None
        self.folder = ""
        replace = self._places(order)
        env = {**os.environ, **{k: replace(v) for k, v in order.get("env", {}).items()}}
        self.process = subprocess.Popen(
            [replace(word) for word in order["argv"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
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

    def _places(self, order: dict[str, Any]) -> Callable[[str], str]:
        """Make what an order wants beforehand; return what puts it into the order's texts."""
        held = [socket.socket() for _ in range(order.get("ports", 0))]
        for one in held:
            one.bind(("", 0))
        self.ports = [one.getsockname()[1] for one in held]
        places = {f"{{port{number}}}": str(port) for number, port in enumerate(self.ports)}
        places["{host}"] = socket.gethostname()

        def replace(text: str) -> str:
            for place, value in places.items():
                text = text.replace(place, value)
            return text

        if order.get("files"):
            self.folder = places["{folder}"] = tempfile.mkdtemp(prefix="batchspawner-")
            for name, text in order["files"].items():
                with open(os.path.join(self.folder, os.path.basename(name)), "x") as file:
                    os.chmod(file.fileno(), 0o600)
                    file.write(replace(text))
        for one in held:
            one.close()
        return replace

    def signal(self, number: int) -> None:
        """Send a signal to the program and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def has_no_room(self) -> bool:
        """Give the program what it takes of its input; return whether some is left."""
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
