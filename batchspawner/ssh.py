"""One ssh connection to a host: run commands and forward ports over it.

The system's own ssh is used, so that the user's configuration counts: host names, ProxyJump,
agents, Kerberos. Where that configuration has a connection to the host already (ControlMaster),
we share it; else we open one, with a control socket of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from .concurrency import within
from .errors import BatchError, ConnectionFailed
from .processes import IDENTITY, begin, begin_dialogue, tool_environment
from .runners import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import CommandResult

_CONNECT_TIMEOUT_S = 60.0
_INTERACTIVE_CONNECT_TIMEOUT_S = 600.0
"""The same where ssh may ask a person for a password or a code."""

_CLOSE_TIMEOUT_S = 5.0

_SHARED_CHECK_INTERVAL_S = 5.0
"""Between two checks of a connection that is not our own process."""

_MASTER_OPTIONS = (
    *("-M", "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
)
# Through the control socket only: never a second connection where it is gone.
_CLIENT_OPTIONS = ("-F", "none", "-o", "ProxyCommand=false", "-o", "BatchMode=yes")


class Ssh:
    """A connection to one host, whose control socket is in `folder`.

    `options` are passed to ssh, such as ``-F FILE`` or ``-J HOST``. With `terminal`, ssh may ask
    for a password or a code on it; without it, ssh never waits for input. A `bound` connection
    ends with this process, however that ends.
    """

    def __init__(
        self,
        host: str,
        folder: Path,
        options: Sequence[str] = (),
        *,
        terminal: bool = False,
        bound: bool = False,
    ) -> None:
        if not host or host.startswith("-") or not host.isprintable() or " " in host:
            raise ConnectionFailed(f"{host!r} is no host of ssh; write HOST or USER@HOST")
        self.host = host
        self.options = tuple(options)
        self.terminal, self.bound = terminal, bound
        self.socket = folder / "s"
        self.shared = False
        self._own = self.socket
        self._process: asyncio.subprocess.Process | None = None
        self._output = bytearray()
        self._reader: asyncio.Task[None] | None = None
        self._runner = LocalRunner()
        self._environment = _environment(terminal=terminal)

    async def open(self) -> None:
        """Connect, or use a connection that the user has open. Raises ConnectionFailed."""
        shared = await self._shared_socket()
        self.shared = shared is not None
        self.socket = shared or self._own
        if shared is None:
            await self._connect()

    async def run(self, script: str, timeout: float = 60.0) -> CommandResult:
        """Run a shell script of one line on the host; `timeout` is in seconds."""
        return await self._ssh(self.host, f"sh -c {shlex.quote(script)}", timeout=timeout)

    async def forward(self, port: int, host: str, remote: int) -> bool:
        """Forward a port of this machine; return False if the port is taken or ssh refuses."""
        return (await self._control("forward", _forward(port, host, remote))).ok

    async def reverse(self, port: int) -> int:
        """Forward a free port of the host to one of this machine, and return its number.

        Raises ConnectionFailed if ssh refuses.
        """
        result = await self._control("forward", f"-R127.0.0.1:0:127.0.0.1:{port}")
        number = re.search(r"\d+", result.stdout)
        if not result.ok or not number:
            raise ConnectionFailed(
                f"{self.host} forwards no port to this machine (AllowTcpForwarding); ssh said:\n"
                f"{result.text or self.output}"
            )
        return int(number[0])

    async def cancel(self, port: int, host: str, remote: int) -> None:
        """Stop forwarding a port."""
        await self._control("cancel", _forward(port, host, remote))

    async def is_alive(self) -> bool:
        try:
            return (await self._control("check")).ok
        except BatchError:
            return False

    async def lost(self) -> None:
        """Wait until the connection is lost."""
        if self._process is not None:
            await self._process.wait()
            return
        while await self.is_alive():
            await asyncio.sleep(_SHARED_CHECK_INTERVAL_S)

    async def close(self) -> None:
        """Close our own connection; one that we share stays open."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            await self._control("exit")
            try:
                await within(_CLOSE_TIMEOUT_S, process.wait())
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    @property
    def through(self) -> tuple[str, ...]:
        """The ssh command line, up to the host, that uses this connection and no other."""
        return ("ssh", *_CLIENT_OPTIONS, "-S", str(self.socket))

    @property
    def output(self) -> str:
        """What ssh has printed on standard error since it was started."""
        return self._output.decode(errors="replace").strip()

    async def _shared_socket(self) -> Path | None:
        """Return the control socket of a connection that the user has open, or None."""
        result = await self._runner.run(
            ("ssh", *self.options, "-G", self.host), environment=self._environment
        )
        path = next(
            (line[12:] for line in result.stdout.splitlines() if line[:12] == "controlpath "), ""
        )
        if not result.ok or path in ("", "none"):
            return None
        self.socket = Path(path)
        return self.socket if await self.is_alive() else None

    async def _connect(self) -> None:
        await self.close()
        self._output.clear()
        with contextlib.suppress(FileNotFoundError):
            self._own.unlink()
        batch = () if self.terminal else ("-o", "BatchMode=yes")
        command = ("ssh", *_MASTER_OPTIONS, "-S", str(self._own), *batch, *self.options, self.host)
        self._process = await self._begin(command)
        self._reader = asyncio.ensure_future(self._listen(self._process))
        limit = _INTERACTIVE_CONNECT_TIMEOUT_S if self.terminal else _CONNECT_TIMEOUT_S
        try:
            await within(limit, self._connected(self._process))
        except asyncio.TimeoutError:
            await self.close()
            raise ConnectionFailed(
                f"ssh {self.host} did not connect within {limit:g} s\n{self.output}".strip()
            ) from None
        except BaseException:
            await self.close()
            raise

    async def _begin(self, command: tuple[str, ...]) -> asyncio.subprocess.Process:
        if self.bound:
            # It reads until the end of our pipe.
            return await begin_dialogue((*command, "cat >/dev/null"), self._environment)
        command = (*command[:-1], "-N", command[-1])
        return await begin(command, environment=self._environment, terminal=self.terminal)

    async def _connected(self, process: asyncio.subprocess.Process) -> None:
        while not self._own.exists():
            if process.returncode is not None:
                if self._reader is not None:
                    await self._reader
                command = shlex.join(("ssh", *self.options, self.host))
                raise ConnectionFailed(
                    f"ssh could not connect to {self.host}; it said:\n{self.output}\n"
                    f"Try it by hand: {command}"
                )
            await asyncio.sleep(0.05)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101  (asked for)
        while data := await process.stderr.read(4096):
            self._output += data
            del self._output[:-8192]

    async def _control(self, order: str, *words: str) -> CommandResult:
        return await self._ssh("-O", order, *words, self.host)

    async def _ssh(self, *words: str, timeout: float = 30.0) -> CommandResult:
        command = (*self.through, *words)
        return await self._runner.run(command, environment=self._environment, timeout=timeout)


async def end_master(socket: Path) -> None:
    """Close a connection that an earlier process of ours left open, with its forwards."""
    await _control_stale(socket, "-O", "exit")


async def end_forward(socket: Path, port: int, host: str, remote: int) -> None:
    """Stop a forward that an earlier process of ours left in a shared connection."""
    await _control_stale(socket, "-O", "cancel", _forward(port, host, remote))


async def _control_stale(socket: Path, *words: str) -> None:
    command = ("ssh", *_CLIENT_OPTIONS, "-S", str(socket), *words, "left")
    with contextlib.suppress(BatchError):
        await LocalRunner().run(command, environment=_environment())


def _environment(*, terminal: bool = False) -> dict[str, str]:
    never = {} if terminal else {"SSH_ASKPASS_REQUIRE": "never"}
    names = ("SSH_*", "KRB5*", "DISPLAY", "TERM", "XDG_RUNTIME_DIR")
    return tool_environment((*IDENTITY, *names), never)


def _forward(port: int, host: str, remote: int) -> str:
    target = f"[{host}]" if ":" in host else host
    return f"-L127.0.0.1:{port}:{target}:{remote}"
