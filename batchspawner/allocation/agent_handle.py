"""One agent as the driver sees it, and the programs that run under it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Protocol

from ..errors import BatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ..agent.protocol import Frame, Header

_INPUT_FRAME_BYTES = 1 << 20
"""How much input goes into one frame."""


class AgentConnection(Protocol):
    """A way to one agent: a socket, or a file that the agent reads.

    `driver` is the word by which the driver calls itself. If it `confirms`, the agent confirms
    what it has received, so that it can be sent again over another connection. `writer` tells one
    connection from another.
    """

    driver: str
    confirms: bool
    writer: asyncio.StreamWriter | None

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send a frame, or queue it."""

    async def drained(self) -> None:
        """Wait until most of what is queued was sent."""


class AgentHandle:
    """One agent, which runs in a job or in one element of an array.

    `host` and `address` are the node's name and its address as the driver sees it. `ends` is when
    the job reaches its walltime, in seconds since the epoch, or None. `python` is the version that
    runs the agent, such as (3, 11, 2). `on_signal` is called with each signal that the job gets,
    `on_silent` when the agent ends or its connection is lost. `over` is why the job ended, None
    while it runs.
    """

    def __init__(self, agent_id: str, facts: Header) -> None:
        self.id = agent_id
        self.facts = facts
        self.processes: dict[str, RemoteProcess] = {}
        self.online = asyncio.Event()
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
        first, rest = (stdin or b"")[:_INPUT_FRAME_BYTES], (stdin or b"")[_INPUT_FRAME_BYTES:]
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
        received = facts["received"] if facts["driver"] == connection.driver else 0
        connection.send(
            {"type": "welcome", "driver": connection.driver, "received": self._received}
        )
        for process_id, pid in facts["processes"].items():
            self.process(process_id).note_start(pid, facts["ports"][process_id])
        for frame in self._unconfirmed:
            if frame[0]["seq"] > received:
                connection.send(*frame)
        if not connection.confirms:
            self._unconfirmed.clear()
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


class RemoteProcess:
    """A program that an agent runs.

    `pid` and `ports` are known once it runs, `code` once it has ended. `error` is why it could not
    be started. `out_of_memory` is true if the operating system has killed it because memory ran
    out. `on_output` is called with the stream, "stdout" or "stderr", and what was printed; by
    default it feeds `output`.
    """

    def __init__(self, agent: AgentHandle, process_id: str) -> None:
        self.agent = agent
        self.id = process_id
        self.pid: int | None = None
        self.ports: list[int] = []
        self.code: int | None = None
        self.error = ""
        self.out_of_memory = False
        self.on_output: Callable[[str, bytes], None] = self._queue_output
        self._output: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._lost: BatchError | None = None

    async def started(self) -> None:
        """Wait until the program runs. Raises BatchError if it cannot, or why the job ended."""
        await self._started.wait()
        if self._lost is not None:
            raise self._lost
        if self.error:
            raise BatchError(f"cannot be started on {self.agent.host}: {self.error}")

    @property
    def is_over(self) -> bool:
        """Whether the program has ended, or its job has."""
        return self._ended.is_set()

    async def wait(self) -> int:
        """Wait for the end; return the exit status, or minus the signal that ended the program.

        Raises why the job ended, if the program ended with its job.
        """
        await self._ended.wait()
        if self.code is None:
            assert self._lost is not None  # noqa: S101  (one of the two is why it ended)
            raise self._lost
        return self.code

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield what the program prints, as ("stdout" or "stderr", bytes), until it ends."""
        while (piece := await self._output.get()) is not None:
            yield piece

    def send_signal(self, number: int) -> None:
        """Send a signal to the program and to all that it has started."""
        self.agent.send({"type": "signal", "id": self.id, "number": int(number)})

    def write(self, data: bytes) -> None:
        """Send the program more input."""
        for start in range(0, len(data), _INPUT_FRAME_BYTES):
            piece = data[start : start + _INPUT_FRAME_BYTES]
            self.agent.send({"type": "write", "id": self.id}, piece)

    def close_stdin(self) -> None:
        self.agent.send({"type": "close", "id": self.id})

    def _queue_output(self, stream: str, data: bytes) -> None:
        self._output.put_nowait((stream, data))

    def note_start(self, pid: int, ports: list[int]) -> None:
        self.pid, self.ports = pid, ports
        self._started.set()

    def note_output(self, stream: str, data: bytes) -> None:
        self.on_output(stream, data)

    def note_exit(self, code: int, error: str) -> None:
        self.code, self.error = code, error
        self._close()

    def lost(self, error: BatchError) -> None:
        """Mark the program as ended with its job, unless it has ended already."""
        if not self._ended.is_set():
            self._lost = error
            self._close()

    def _close(self) -> None:
        self._started.set()
        self._ended.set()
        self._output.put_nowait(None)


def start_order(
    argv: Sequence[str],
    process_id: str,
    *,
    env: Mapping[str, str] | None = None,
    expand: Mapping[str, Sequence[str]] | None = None,
    cwd: str = "",
    files: Mapping[str, str] | None = None,
    ports: int = 0,
) -> Header:
    """Return the order to start a program, for `CallFolder.order` or `AgentHandle.send`."""
    order: Header = {"type": "start", "id": process_id, "argv": list(argv)}
    if env:
        order["env"] = dict(env)
    if expand:
        order["expand"] = {name: list(variables) for name, variables in expand.items()}
    if cwd:
        order["cwd"] = cwd
    if files:
        order["files"] = dict(files)
    if ports:
        order["ports"] = ports
    return order
