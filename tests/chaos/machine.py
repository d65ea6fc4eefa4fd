"""The network between jobs and Hub, the Hub's clock, and the disk of its state, to be broken."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path

from tests.ports import free_port

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
DISK_BYTES = 32 << 20


class Network:
    """A port that leads to the Hub's own as long as nobody cuts it; jobs know only this one."""

    def __init__(self, target: int) -> None:
        self.port, self.target = free_port(), target
        self.cut = self.held = False
        self.open: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refuse(self) -> None:
        """End all connections, and each new one at once."""
        self.cut = True
        self._end_all()

    def hold(self) -> None:
        """Accept connections, over which nothing comes and goes any more."""
        self.held = True

    def mend(self) -> None:
        """Let everything through again; connections over which nothing went are lost."""
        if self.held:
            self._end_all()
        self.cut = self.held = False

    def close(self) -> None:
        self.refuse()
        # Without this, the thread that waits for a connection would go on.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _end_all(self) -> None:
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            if self.cut:
                return
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                self.open |= {near, far}
                back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
                back.start()
                self._copy(near, far)
                back.join()
                self.open -= {near, far}

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not self.held:
                    sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def clock(shift: str) -> dict[str, str]:
    """Return the variables by which the clock of a process is wrong, by an amount like ``+40m``.

    There are none if the library for it is not installed.
    """
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": shift} if LIBRARY else {}


class Disk:
    """A small disk, if this is root and may make one; otherwise a folder that cannot be full."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", folder]
        self.is_real = (
            os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
        )

    def fill(self) -> None:
        """Use all space that is left."""
        if self.is_real:
            with contextlib.suppress(OSError), self.filler.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
            with contextlib.suppress(OSError), self.filler.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 9))

    def free(self) -> None:
        self.filler.unlink(missing_ok=True)

    def close(self) -> None:
        self.free()
        if self.is_real:
            # What a job that is just ending has open goes away with the last of its processes.
            subprocess.run(["umount", "--lazy", self.folder], check=True)
