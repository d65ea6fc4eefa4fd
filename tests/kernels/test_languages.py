"""Real kernels that cannot encrypt: where they listen, and what they do in a job."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

import pytest

from .driving import value

LISTENS = "0A"


class Language(NamedTuple):
    """A kernel that cannot encrypt: its language, its command, a sum and its output."""

    language: str
    command: list[str]
    sum: str
    output: str = "42\n"


def bash() -> Language:
    pytest.importorskip("bash_kernel", reason="bash_kernel is not installed")
    command = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    return Language("bash", command, "echo $((6 * 7))")


def r() -> Language:
    code = "if (!requireNamespace('IRkernel', quietly = TRUE)) quit(status = 1)"
    if not shutil.which("R") or subprocess.run(["R", "--slave", "-e", code]).returncode:
        pytest.skip("IRkernel is not installed")
    start = ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"]
    return Language("R", start, "cat(6 * 7, '\\n')", "42 \n")


def old_python() -> Language:
    """Return ipykernel 6, as .ci/languages.sh installs it."""
    folder = Path(sys.prefix, "ipykernel6")
    if not folder.exists():
        pytest.skip("ipykernel 6 is not installed")
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    command = ["env", f"PYTHONPATH={folder}", *start]
    code = "import ipykernel; print(6 * 7, ipykernel.version_info[0])"
    return Language("python", command, code, "42 6\n")


def listeners(leader: int) -> tuple[set[str], set[str]]:
    """Return the addresses of TCP and the Unix sockets at which a session of processes listens."""
    sockets = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(folder.name)) == leader:
                sockets |= {os.readlink(one) for one in (folder / "fd").iterdir()}
    inodes = {one[len("socket:[") : -1] for one in sockets if one.startswith("socket:[")}
    tcp = {
        _address(row[1].partition(":")[0])
        for family in ("tcp", "tcp6")
        for row in _rows(family)
        if row[3] == LISTENS and row[9] in inodes
    }
    # Flags of 00010000 are those of a socket that accepts connections.
    unix = {row[7] for row in _rows("unix") if row[3] == "00010000" and row[6] in inodes}
    return tcp, unix


def _rows(name: str) -> list[list[str]]:
    # https://docs.kernel.org/networking/proc_net_tcp.html
    return [line.split() for line in Path("/proc/net", name).read_text().splitlines()[1:]]


def _address(hexadecimal: str) -> str:
    words = [hexadecimal[at : at + 8] for at in range(0, len(hexadecimal), 8)]
    plain = b"".join(bytes.fromhex(word)[::-1] for word in words)
    return str(IPv4Address(plain) if len(plain) == 4 else IPv6Address(plain))


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", [bash, r, old_python])
async def test_a_kernel_that_cannot_encrypt_can_only_be_reached_from_its_node(
    started, kind, transport
):
    more = {} if transport == "ipc" else {"transport": "tcp"}
    one = kind()
    manager, client = await started(language=one.language, kernel_argv=one.command, **more)
    assert await value(client, one.sum) == ("ok", one.output)
    tcp, unix = listeners(manager.provisioner._run._process.pid)
    # With ipc, that is where ipykernel waits for the output of child processes, with a key.
    assert tcp <= {"127.0.0.1"}
    if transport == "ipc":
        assert len({one for one in unix if Path(one).name.startswith("channel-")}) == 5
        assert {Path(one).parent.stat().st_mode & 0o777 for one in unix} == {0o700}
    await manager.restart_kernel()
    assert await value(client, one.sum) == ("ok", one.output)
