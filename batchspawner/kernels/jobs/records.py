"""Records on disk of how kernels were started, for a server that takes them over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ...allocation.call_folder import naming
from ..proxy.channels import CHANNELS
from .registry import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


_SOCKET = "channel"
"""Beginning of the names of a kernel's sockets, which a dash and a number follow."""


@dataclass(frozen=True)
class KernelCommand:
    """How a kernel is started.

    `connection` is its connection file without the ports, which only the node can choose.
    `tunnel` is the ssh command that leads to it, if any, and `node` the node of its job that was
    asked for. `expand` has, by the variable of `env`, the variables of the job in its value.
    `local_transport` is ``ipc`` or ``tcp`` for a kernel that listens on its node only and is
    reached through the agent; it is empty for one that listens on the network.
    """

    argv: tuple[str, ...]
    connection: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    tunnel: str = ""
    node: str = ""
    expand: Mapping[str, Sequence[str]] = field(default_factory=dict)
    local_transport: str = ""

    @property
    def targets(self) -> dict[str, str | int]:
        """The sockets in the kernel's folder, or the numbers of its ports, by its channels."""
        if self.local_transport == "ipc":
            return {name: f"{_SOCKET}-{number}" for number, name in enumerate(CHANNELS, 1)}
        return {name: number for number, name in enumerate(CHANNELS)}

    def file(self, ip: str) -> str:
        """Return the connection file, with placeholders for the folder or the ports."""
        if self.local_transport == "ipc":
            place = {"ip": f"{{folder}}/{_SOCKET}", "transport": "ipc"}
            numbers = {f"{name}_port": number for number, name in enumerate(CHANNELS, 1)}
            return json.dumps({**self.connection, **place, **numbers})
        ports = {f"{name}_port": f"{{port{number}}}" for number, name in enumerate(CHANNELS)}
        text = json.dumps({**self.connection, "ip": ip, "transport": "tcp", **ports})
        for placeholder in ports.values():
            text = text.replace(f'"{placeholder}"', placeholder)
        return text


@dataclass(frozen=True)
class KernelRecord:
    """A kernel in a job; `process` is empty while it waits for the job."""

    kernel: str
    command: KernelCommand
    process: str = ""

    def write(self, folder: Path) -> None:
        """Write the record, atomically, into a folder that only the user can read.

        Raises OSError, which says how to name another folder.
        """
        file = _file(folder, self.kernel)
        new = file.with_suffix(".new")
        with naming(folder):
            new.write_text(json.dumps(asdict(self)))
            new.replace(file)


def forget(folder: Path, kernel: str) -> None:
    """Remove the record of a kernel that has ended."""
    _file(folder, kernel).unlink(missing_ok=True)


def find(folder: Path) -> Iterator[KernelRecord]:
    """Yield the records of all kernels in a job."""
    for file in folder.glob("kernel-*.json"):
        values: dict[str, Any] = json.loads(file.read_text())
        command = known(KernelCommand, values["command"])
        command["argv"] = tuple(command["argv"])
        yield KernelRecord(**{**known(KernelRecord, values), "command": KernelCommand(**command)})


def _file(folder: Path, kernel: str) -> Path:
    return folder / f"kernel-{kernel}.json"
