"""Hosts that see only their neighbours: network namespaces of Linux, made by root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def unavailable() -> str:
    """Return why there can be no such hosts here, or an empty text."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "unshare") if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    name = f"bs{os.getpid()}try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if done.returncode:
        return f"this machine gives no network namespaces: {done.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


class Host:
    """A host with a name of its own, which reaches only the hosts that it is linked to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.space = f"bs{os.getpid()}{name}"
        self.folder = Path("/etc/netns") / self.space
        self.folder.mkdir(parents=True)
        self.knows("127.0.0.1", "localhost")
        _ip("netns", "add", self.space)
        _ip("-n", self.space, "link", "set", "lo", "up")

    @property
    def inside(self) -> tuple[str, ...]:
        """The command that runs another one on this host."""
        named = ("unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "-")
        return ("ip", "netns", "exec", self.space, *named)

    def knows(self, address: str, name: str) -> None:
        """Make the host resolve a name."""
        with (self.folder / "hosts").open("a") as hosts:
            hosts.write(f"{address} {name}\n")

    def link(self, network: int, other: Host | None) -> str:
        """Connect the host with another one, or with this machine; return the host's address."""
        ours, theirs = (f"bs{os.getpid() % 10000}{end}{network}" for end in "ab")
        _ip(
            "link",
            "add",
            ours,
            "netns",
            self.space,
            "type",
            "veth",
            "peer",
            "name",
            theirs,
            *(("netns", other.space) if other else ()),
        )
        address, peer = (f"10.{os.getpid() % 250}.{network}.{end}" for end in (2, 1))
        _set_up(("-n", self.space), ours, address)
        _set_up(("-n", other.space) if other else (), theirs, peer)
        return address

    def remove(self) -> None:
        _ip("netns", "del", self.space)
        shutil.rmtree(self.folder)


def _set_up(where: tuple[str, ...], link: str, address: str) -> None:
    _ip(*where, "addr", "add", f"{address}/24", "dev", link)
    _ip(*where, "link", "set", link, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=30)
