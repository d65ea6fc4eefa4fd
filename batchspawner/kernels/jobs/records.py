"""Keep on disk how a kernel was started, for the process that goes on with it after this one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ..proxy.channels import CHANNELS
from .registry import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class KernelCommand:
    """Hold what a kernel is started with.

    `connection` is what will be in its connection file but for the ports, which only the node
    can know. `tunnel` is the ssh command by which it is reached, if any, and `node` the node of
    its job that was wished for.
    """

    argv: tuple[str, ...]
    connection: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    tunnel: str = ""
    node: str = ""

    def file(self, ip: str) -> str:
        """Return the connection file, with names for the ports."""
        ports = {f"{name}_port": f"{{port{number}}}" for number, name in enumerate(CHANNELS)}
        text = json.dumps({**self.connection, "ip": ip, "transport": "tcp", **ports})
        for place in ports.values():
            text = text.replace(f'"{place}"', place)
        return text


@dataclass(frozen=True)
class KernelRecord:
    """Hold what is known of a kernel; `process` is empty while it waits for its job."""

    kernel: str
    command: KernelCommand
    process: str = ""

    def write(self, folder: Path) -> None:
        """Keep this instead of what was known before, in a folder that only the user can read."""
        file = _file(folder, self.kernel)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(file)


def forget(folder: Path, kernel: str) -> None:
    """Remove what is known of a kernel, which is over."""
    _file(folder, kernel).unlink(missing_ok=True)


def find(folder: Path) -> Iterator[KernelRecord]:
    """Yield what is known of all kernels in a job."""
    for file in folder.glob("kernel-*.json"):
        values = json.loads(file.read_text())
        command = known(KernelCommand, values["command"])
        command["argv"] = tuple(command["argv"])
        yield KernelRecord(**{**known(KernelRecord, values), "command": KernelCommand(**command)})


def _file(folder: Path, kernel: str) -> Path:
    return folder / f"kernel-{kernel}.json"
