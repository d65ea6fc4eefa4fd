"""Speak with one agent, and with the programs that run under it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from ..errors import BatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

_PIECE = 1 << 20
"""Bytes of input that go into one frame."""


class AgentHandle:
    """Stand for one agent: a job, or one element of an array.

    `host` and `address` are the node's name and its address towards us. `ends` is when the job
    reaches its walltime, in seconds since the epoch, or None. `python` is the version that runs
    the agent, such as (3, 11, 2). `on_signal` is called with each signal that the job gets,
    `on_silent` when the agent says goodbye or its connection is lost.
    """

    def __init__(self, agent_id: str, facts: Mapping[str, Any]) -> None:
        self.id = agent_id
        self.facts: Mapping[str, Any] = facts
        self.processes: dict[str, RemoteProcess] = {}
        self.online = asyncio.Event()
        self.on_signal: Callable[[int], None] = lambda _: None
        self.on_silent: Callable[[], None] = lambda: None
        self.over: BatchError | None = None
        self._connection: Any = None
        self._received = 0
        self._acknowledged = 0
        self._seq = 0
        self._unconfirmed: list[tuple[dict[str, Any], bytes]] = []
        self._news = asyncio.Event()

    @property
    def host(self) -> str:
        return str(self.facts.get("host", ""))

    @property
    def address(self) -> str:
        return str(self.facts.get("address", ""))

    @property
    def job_id(self) -> str:
        return str(self.facts.get("job_id", ""))

    @property
    def index(self) -> str:
        return str(self.facts.get("index", ""))

    @property
    def ends(self) -> float | None:
        ends = self.facts.get("ends")
        return None if ends is None else float(ends)

    @property
    def python(self) -> tuple[int, ...]:
        return tuple(self.facts.get("python", ()))

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: bytes | None = None,
        files: Mapping[str, str] | None = None,
        ports: int = 0,
    ) -> RemoteProcess:
        """Start a program there, with a process group of its own.

        `env` is put on top of the job's environment. `stdin` is its whole input; None leaves it
        open for `RemoteProcess.write`. `files` are written into a private folder. In all texts,
        ``{folder}`` stands for that folder, ``{host}`` for the node and ``{port0}`` … for `ports`
        free ports. Raises BatchError where the program cannot be started.
        """
        process = self.begin(argv, env=env, cwd=cwd, stdin=stdin, files=files, ports=ports)
        await process.started()
        return process

    def begin(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: bytes | None = None,
        files: Mapping[str, str] | None = None,
        ports: int = 0,
    ) -> RemoteProcess:
        """Do what `start` does, without waiting for its answer."""
        process = self.process(secrets.token_hex(8))
        order = start_order(argv, process.id, env=env, cwd=cwd, files=files, ports=ports)
        first, rest = (stdin or b"")[:_PIECE], (stdin or b"")[_PIECE:]
        self.send({**order, "close": stdin is not None and not rest}, first)
        if rest:
            process.write(rest)
            process.close_stdin()
        return process

    def process(self, process_id: str) -> RemoteProcess:
        """Return a program by its id."""
        if process_id not in self.processes:
            self.processes[process_id] = RemoteProcess(self, process_id)
            if self.over is not None:
                self.processes[process_id].lost(self.over)
        return self.processes[process_id]

    def finish(self, *, tell_failure: bool = False, unattended: bool = False) -> None:
        """Let the agent end when its programs have.

        With `tell_failure` the job fails where a program has failed. With `unattended` programs
        go on however long nobody listens.
        """
        self.send({"type": "finish", "tell_failure": tell_failure, "unattended": unattended})

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        """Send an order that has to arrive, once."""
        self._seq += 1
        frame = ({**header, "seq": self._seq, "agent": self.id}, payload)
        if self._connection is None or self._connection.confirms:
            self._unconfirmed.append(frame)
        if self._connection is not None:
            self._connection.send(*frame)

    async def drained(self) -> None:
        """Wait until the agent has taken most of what was sent."""
        if self._connection is not None:
            await self._connection.drained()

    async def done(self) -> None:
        """Wait until the agent has done what it was told so far, or is out of reach."""
        told = self._seq
        while self.online.is_set() and any(one["seq"] <= told for one, _ in self._unconfirmed):
            self._news.clear()
            await self._news.wait()

    # --- what the connection tells

    def connected(self, facts: Mapping[str, Any], connection: Any) -> None:
        """Go on where the last connection ended."""
        self.facts = facts
        self._connection = connection
        received = facts["received"] if facts["driver"] == connection.driver else 0
        connection.send(
            {"type": "welcome", "driver": connection.driver, "received": self._received}
        )
        for process_id, pid in facts["processes"].items():
            self.process(process_id).heard_start(pid, facts["ports"][process_id])
        for frame in self._unconfirmed:
            if frame[0]["seq"] > received:
                connection.send(*frame)
        if not connection.confirms:
            self._unconfirmed.clear()
        self.online.set()

    def disconnected(self, writer: object) -> None:
        """Take note that a connection is lost, unless there is another one already."""
        if self._connection is not None and self._connection.writer is writer:
            self._connection = None
            self._offline()
            self.on_silent()

    def acknowledge(self) -> None:
        """Let the agent forget what we have."""
        if self._connection is not None and self._received != self._acknowledged:
            self._acknowledged = self._received
            self._connection.send({"type": "ack", "upto": self._received})

    def heard(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take what the agent says, once."""
        if header["type"] == "ack":
            self._unconfirmed = [one for one in self._unconfirmed if one[0]["seq"] > header["upto"]]
            self._news.set()
            return
        if header["seq"] <= self._received:
            return
        self._received = header["seq"]
        if header["type"] == "bye":
            self._offline()
            self.on_silent()
        elif header["type"] == "signal":
            self.on_signal(header["number"])
        elif header["type"] == "started":
            self.process(header["id"]).heard_start(header["pid"], header["ports"])
        elif header["type"] == "output":
            self.process(header["id"]).heard_output(header["stream"], payload)
        elif header["type"] == "exit":
            process = self.process(header["id"])
            process.out_of_memory = header.get("out_of_memory", False)
            process.heard_exit(header["code"], header.get("error", ""))

    def _offline(self) -> None:
        self.online.clear()
        self._news.set()

    def ended(self, error: BatchError) -> None:
        """Take note that the job has ended; nothing more will be heard."""
        self.over = error
        self._connection = None
        self._offline()
        for process in self.processes.values():
            process.lost(error)


class RemoteProcess:
    """Stand for a program that an agent runs.

    `out_of_memory` says that the operating system has killed it for that.
    """

    def __init__(self, agent: AgentHandle, process_id: str) -> None:
        self.agent = agent
        self.id = process_id
        self.pid: int | None = None
        self.ports: list[int] = []
        self.code: int | None = None
        self.error = ""
        self.out_of_memory = False
        self.on_output: Callable[[str, bytes], None] = self._keep
        self._kept: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._lost: BatchError | None = None

    async def started(self) -> None:
        """Wait until the program runs. Raises BatchError where it cannot."""
        await self._started.wait()
        if self._lost is not None:
            raise self._lost
        if self.error:
            raise BatchError(f"cannot be started on {self.agent.host}: {self.error}")

    @property
    def is_over(self) -> bool:
        """True where it has ended, or its job has."""
        return self._ended.is_set()

    async def wait(self) -> int:
        """Wait for the end, and return the exit status, or minus the signal that ended it.

        Raises why the job ended, where that ended the program.
        """
        await self._ended.wait()
        if self.code is None:
            assert self._lost is not None  # noqa: S101  (one of the two is why it ended)
            raise self._lost
        return self.code

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield what the program prints, as ("stdout" or "stderr", bytes), until it ends."""
        while (piece := await self._kept.get()) is not None:
            yield piece

    def send_signal(self, number: int) -> None:
        """Send a signal to the program and to what it has started."""
        self.agent.send({"type": "signal", "id": self.id, "number": int(number)})

    def write(self, data: bytes) -> None:
        """Give the program more input."""
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self.agent.send({"type": "write", "id": self.id}, piece)

    def close_stdin(self) -> None:
        self.agent.send({"type": "close", "id": self.id})

    def _keep(self, stream: str, data: bytes) -> None:
        self._kept.put_nowait((stream, data))

    def heard_start(self, pid: int, ports: list[int]) -> None:
        self.pid, self.ports = pid, ports
        self._started.set()

    def heard_output(self, stream: str, data: bytes) -> None:
        self.on_output(stream, data)

    def heard_exit(self, code: int, error: str) -> None:
        self.code, self.error = code, error
        self._close()

    def lost(self, error: BatchError) -> None:
        """Take note that the job has ended, and the program with it."""
        if not self._ended.is_set():
            self._lost = error
            self._close()

    def _close(self) -> None:
        self._started.set()
        self._ended.set()
        self._kept.put_nowait(None)


def start_order(
    argv: Sequence[str],
    process_id: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    files: Mapping[str, str] | None = None,
    ports: int = 0,
) -> dict[str, Any]:
    """Return the order to start a program, for `Call.order` or `AgentHandle.send`."""
    order: dict[str, Any] = {"type": "start", "id": process_id, "argv": list(argv)}
    optional = {"env": dict(env or {}), "cwd": cwd, "files": dict(files or {}), "ports": ports}
    return {**order, **{name: value for name, value in optional.items() if value}}
