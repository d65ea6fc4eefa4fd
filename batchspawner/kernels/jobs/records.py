"""Records on disk of how kernels were started, for a server that takes them over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..proxy.channels import CHANNELS
from .registry import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class KernelCommand:
    """How a kernel is started.

    `connection` is its connection file without the ports, which only the node can choose.
    `tunnel` is the ssh command that leads to it, if any, and `node` the node of its job that was
    asked for. `expand` has, by the variable of `env`, the variables of the job in its value.
    """

    argv: tuple[str, ...]
    connection: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    tunnel: str = ""
    node: str = ""
    expand: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def file(self, ip: str) -> str:
        """Return the connection file, with placeholders for the ports."""
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
        """Write the record, atomically, into a folder that only the user can read."""
        file = _file(folder, self.kernel)
        new = file.with_suffix(".new")
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
