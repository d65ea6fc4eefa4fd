"""One agent as the driver sees it, and the programs that run under it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Protocol

from .remote_process import INPUT_FRAME_BYTES, RemoteProcess, start_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..agent.protocol import Frame, Header
    from ..errors import BatchError


class AgentConnection(Protocol):
    """A way to one agent: a socket, or a file that the agent reads.

    `driver` is the word by which the driver calls itself. If it `confirms`, the agent confirms
    what it has received, so that it can be sent again over another connection. If it `is_private`,
    nobody else can read it. `writer` tells one connection from another.
    """

    driver: str
    confirms: bool
    is_private: bool
    writer: asyncio.StreamWriter | None

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send a frame, or queue it."""

    def without_secrets(self, header: Header, payload: bytes) -> Frame:
        """Return what to send for an order if others can read the connection.

        What an order to start a program contains then goes through a private file.
        """

    async def drained(self) -> None:
        """Wait until most of what is queued was sent."""


class AgentHandle:
    """One agent, which runs in a job or in one element of an array.

    `host` and `address` are the node's name and its address as the driver sees it. `ends` is when
    the job reaches its walltime, in seconds since the epoch, or None. `python` is the version that
    runs the agent, such as (3, 11, 2). `is_private` is false if others can read what is sent over
    its connection. `on_signal` is called with each signal that the job gets,
    `on_silent` when the agent ends or its connection is lost. `over` is why the job ended, None
    while it runs.
    """

    def __init__(self, agent_id: str, facts: Header) -> None:
        self.id = agent_id
        self.facts = facts
        self.processes: dict[str, RemoteProcess] = {}
        self.online = asyncio.Event()
        self.is_private = True
        self.on_signal: Callable[[int], None] = lambda _: None
        self.on_silent: Callable[[], None] = lambda: None
        self.over: BatchError | None = None
        self._connection: AgentConnection | None = None
        self._received = 0
        self._acknowledged = 0
        self._seq = 0
        self._unconfirmed: list[Frame] = []
        self._changed = asyncio.Event()

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
        """Start a program in the job, in a session of its own, and wait until it runs.

        `env` is added to the job's environment. `stdin` is the whole input; None leaves it open
        for `RemoteProcess.write`. `files` are written into a private folder, by their names. In
        arguments, values of `env` and texts of files, ``{folder}`` stands for that folder,
        ``{host}`` for the node, and ``{port0}``, ``{port1}`` … for as many free ports as `ports`
        says. Raises BatchError if the program cannot be started, or why the job ended.
        """
        process = self.begin(argv, env=env, cwd=cwd, stdin=stdin, files=files, ports=ports)
        await process.started()
        return process

    def begin(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        expand: Mapping[str, Sequence[str]] | None = None,
        cwd: str = "",
        stdin: bytes | None = None,
        files: Mapping[str, str] | None = None,
        ports: int = 0,
    ) -> RemoteProcess:
        """Do what `start` does, without waiting until the program runs.

        `expand` names variables of the job whose values replace ``${NAME}`` in values of `env`.
        """
        process = self.process(secrets.token_hex(8))
        order = start_order(
            argv, process.id, env=env, expand=expand, cwd=cwd, files=files, ports=ports
        )
        first, rest = (stdin or b"")[:INPUT_FRAME_BYTES], (stdin or b"")[INPUT_FRAME_BYTES:]
        order["close"] = stdin is not None and not rest
        self.send(order, first)
        if rest:
            process.write(rest)
            process.close_stdin()
        return process

    def process(self, process_id: str) -> RemoteProcess:
        """Return the program with this id."""
        if process_id not in self.processes:
            self.processes[process_id] = RemoteProcess(self, process_id)
            if self.over is not None:
                self.processes[process_id].lost(self.over)
        return self.processes[process_id]

    def finish(self, *, fail_job: bool = False, unattended: bool = False) -> None:
        """Order the agent to end when its programs have ended.

        With `fail_job` the job fails if a program has failed. With `unattended` programs go on
        however long no driver is connected.
        """
        self.send({"type": "finish", "tell_failure": fail_job, "unattended": unattended})

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send an order, which will arrive exactly once."""
        self._seq += 1
        header = header.copy()
        header["seq"], header["agent"] = self._seq, self.id
        frame = (header, payload)
        if self._connection is not None:
            frame = self._connection.without_secrets(*frame)
        if self._connection is None or self._connection.confirms:
            self._unconfirmed.append(frame)
        if self._connection is not None:
            self._connection.send(*frame)

    async def drained(self) -> None:
        """Wait until most of what was sent has left this process."""
        if self._connection is not None:
            await self._connection.drained()

    async def done(self) -> None:
        """Wait until the agent has confirmed all orders so far, or is not connected."""
        last = self._seq
        while self.online.is_set() and any(one["seq"] <= last for one, _ in self._unconfirmed):
            self._changed.clear()
            await self._changed.wait()

    # --- called by the connection

    def connected(self, facts: Header, connection: AgentConnection) -> None:
        """Continue where the last connection ended, after the agent has said hello."""
        self.facts = facts
        self._connection = connection
        self.is_private = connection.is_private
        received = facts["received"] if facts["driver"] == connection.driver else 0
        connection.send(
            {"type": "welcome", "driver": connection.driver, "received": self._received}
        )
        for process_id, pid in facts["processes"].items():
            self.process(process_id).note_start(pid, facts["ports"][process_id])
        left = [one for one in self._unconfirmed if one[0]["seq"] > received]
        self._unconfirmed = [connection.without_secrets(*frame) for frame in left]
        for frame in self._unconfirmed:
            connection.send(*frame)
        if not connection.confirms:
            self._unconfirmed.clear()
        self._changed.set()
        self.online.set()

    def disconnected(self, writer: asyncio.StreamWriter) -> None:
        """Mark the agent as offline, unless it has another connection already."""
        if self._connection is not None and self._connection.writer is writer:
            self._connection = None
            self._offline()
            self.on_silent()

    def acknowledge(self) -> None:
        """Confirm what was received, so that the agent can drop it."""
        if self._connection is not None and self._received != self._acknowledged:
            self._acknowledged = self._received
            self._connection.send({"type": "ack", "upto": self._received})

    def receive(self, header: Header, payload: bytes) -> None:
        """Handle a frame of the agent; one that was handled before is ignored."""
        if header["type"] == "ack":
            self._unconfirmed = [one for one in self._unconfirmed if one[0]["seq"] > header["upto"]]
            self._changed.set()
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
            self.process(header["id"]).note_start(header["pid"], header["ports"])
        elif header["type"] == "output":
            self.process(header["id"]).note_output(header["stream"], payload)
        elif header["type"] == "data":
            self.process(header["id"]).note_stream(header["stream"], payload)
        elif header["type"] == "hangup":
            self.process(header["id"]).note_stream(header["stream"], None)
        elif header["type"] == "exit":
            process = self.process(header["id"])
            process.out_of_memory = header.get("out_of_memory", False)
            process.note_exit(header["code"], header.get("error", ""))

    def _offline(self) -> None:
        self.online.clear()
        self._changed.set()

    def ended(self, error: BatchError) -> None:
        """Mark the agent and its programs as ended, because the job has."""
        self.over = error
        self._connection = None
        self._offline()
        for process in self.processes.values():
            process.lost(error)
