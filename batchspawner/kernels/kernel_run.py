"""Follow one life of a kernel: from the wish for it to the end of its process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from ..concurrency import within
from ..errors import BatchError
from .jobs.kernel_job import happens
from .jobs.records import forget
from .proxy.channels import CHANNELS, Curve
from .tunnel import LOOPBACK, KernelTunnel

if TYPE_CHECKING:
    from ..allocation.agent_handle import AgentHandle, RemoteProcess
    from ..jobs import JobInfo
    from .jobs.kernel_job import KernelJob
    from .jobs.records import KernelRecord
    from .proxy.proxy import KernelProxy

log = logging.getLogger(__name__)

CONNECTION_FILE = "connection.json"
"""The name of the connection file, in the folder that the agent makes for a kernel."""

_LAST_WORDS = 20
"""Lines of a kernel's own output that are kept for the error about it."""

_EXPLANATION = 15.0
"""Seconds that a scheduler may take to say why a job is gone, before its kernels are dead."""

_EAGER = 1.0
"""Seconds between two looks at a job that is being ended."""

_DELIVERY = 1.0
"""Seconds that a signal may need to the node, before we go on without knowing."""

_PORT_TAKEN = "address already in use"
"""What a kernel says where another program was faster."""


_REPLAY = 2.0
"""Seconds in which an agent tells a new driver what it has missed."""


class KernelRun:
    """Start a kernel in a job as soon as the job runs, and stay with it until it ends.

    Where the record names a process already, go on with that. `code` is None while the kernel
    lives, and while it waits. `failure` says why it is useless to start it again.
    """

    def __init__(self, job: KernelJob, room: KernelProxy, record: KernelRecord) -> None:
        self.job = job
        self.room = room
        self.record = record
        self.code: int | None = None
        self.failure: BatchError | None = None
        self.ended, self.answers = asyncio.Event(), asyncio.Event()
        self._process: RemoteProcess | None = None
        self._tunnel: KernelTunnel | None = None
        self._trouble: BatchError | None = None
        self._wished = False
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._stop_listening = job.listen(room.tell)
        room.asked_to_end, room.over = self.give_up, None
        record.write(job.folder)
        self._life = asyncio.ensure_future(self._live())

    async def started(self) -> None:
        """Return when the kernel answers. Raises BatchError where it ended before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.answers, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.answers.is_set():
            raise self.failure or BatchError(self._last_words())

    async def send(self, number: int) -> None:
        """Send a signal to the kernel and what it has started, wherever it is by now."""
        if self.code is not None:
            return
        if self._process is not None:
            self._wished = self._wished or number != signal.SIGINT
            self._process.send_signal(number)
            # What comes after an interrupt may not be hit by it, and takes another way.
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_DELIVERY, self._process.agent.done())
            if self._process.is_over and number == signal.SIGKILL:
                self.abandon()
        elif number == signal.SIGINT:
            await self.room.interrupt()
        else:
            self.give_up(-number)

    def give_up(self, code: int = 0) -> None:
        """End a kernel that does not run yet; its job stays."""
        if self._process is None and self.code is None:
            self._life.cancel()
            self._end(code)

    def abandon(self) -> None:
        """Have nothing more to do with a kernel, however it is."""
        if self.code is None:
            if self._process is not None:
                self._process.send_signal(signal.SIGKILL)
            self._life.cancel()
            self._end(-signal.SIGKILL)

    async def _live(self) -> None:
        try:
            await self.room.tell(self.job.description)
            code = await self._run(await self.job.ready_on(self.record.command.node))
        except BatchError as error:
            self.failure = error
            self.code = code = 1
            log.warning("%s", error)
            await self.room.fail(type(error).__name__, str(error), for_good=True)
        self._end(code)

    def _end(self, code: int) -> None:
        self._stop_listening()
        forget(self.job.folder, self.record.kernel)
        self.room.disconnect()
        self.code = code
        self.ended.set()

    async def _run(self, agent: AgentHandle) -> int:
        code = await self._lived(agent)
        if self.job.ending:
            await self._explain()
        if code > 0 and not self.answers.is_set():
            if any(_PORT_TAKEN in line.lower() for line in self._words):
                self._words.clear()
                self.record = replace(self.record, process="")
                return await self._run(agent)
            raise BatchError(self._last_words(code))
        if code and not self._wished:
            await self.room.fail("KernelDied", self._how_it_died(code))
        return code

    async def _lived(self, agent: AgentHandle) -> int:
        """Stay with the kernel's process until it ends."""
        known = bool(self.record.process)
        self._process = process = self._go_on(agent) if known else self._begin(agent)
        await process.started()
        listening = asyncio.ensure_future(self._listen(process))
        connecting = asyncio.ensure_future(self._connect(process, known))
        try:
            code = await process.wait()
            await listening
        finally:
            connecting.cancel()
            listening.cancel()
            if self._tunnel is not None:
                await self._tunnel.close()
        if self._trouble is not None:
            raise self._trouble
        return code

    def _begin(self, agent: AgentHandle) -> RemoteProcess:
        command = self.record.command
        process = agent.begin(
            command.argv,
            env={**command.env, **_time_left(agent, self.job.allocation.status)},
            cwd=command.cwd,
            stdin=b"",
            files={CONNECTION_FILE: command.file(LOOPBACK if command.tunnel else agent.address)},
            ports=len(CHANNELS),
        )
        self.record = replace(self.record, process=process.id)
        self.record.write(self.job.folder)
        return process

    def _go_on(self, agent: AgentHandle) -> RemoteProcess:
        """Return the process of a kernel that was started before; it may have ended since."""
        process = agent.process(self.record.process)
        if process.pid is None:
            loop = asyncio.get_running_loop()
            gone = BatchError("the kernel has ended while its server was away")
            loop.call_later(_REPLAY, process.lost, gone)
        return process

    async def _connect(self, process: RemoteProcess, known: bool) -> None:
        command, ip, ports = self.record.command, process.agent.address, process.ports
        try:
            if command.tunnel:
                self._tunnel = KernelTunnel(command.tunnel, process.agent.host, ports)
                await self._tunnel.opened()
                ip, ports = LOOPBACK, self._tunnel.ports
            info = {f"{name}_port": port for name, port in zip(CHANNELS, ports)}
            await self.room.connect({"ip": ip, **info}, Curve.of(command.connection), known=known)
            if self._tunnel is not None:
                self._tunnel.on_lost, self._tunnel.on_back = self.room.pause, self.room.resume
            self.answers.set()
        except BatchError as error:
            self._trouble = error
            process.send_signal(signal.SIGKILL)

    async def _explain(self) -> None:
        """Raise why the job has ended, as soon as the scheduler says it."""
        self.job.allocation.suspect(_EAGER)
        await happens(self.job.ended, _EXPLANATION)
        raise self.job.failure or BatchError(
            f"job {self.job.job_id} was told to end, and its kernels with it"
        )

    async def _listen(self, process: RemoteProcess) -> None:
        async for stream, data in process.output():
            for line in data.decode(errors="replace").splitlines():
                log.info("%s: %s", stream, line)
                self._words.append(line)

    def _how_it_died(self, code: int) -> str:
        where = f"the kernel in job {self.job.job_id} died"
        if self._process is not None and self._process.out_of_memory:
            return f"{where}: it needed more memory than the job has; ask for more"
        return f"{where} ({_how(code)})"

    def _last_words(self, code: int = 0) -> str:
        text = f"the kernel in job {self.job.job_id} ended before it answered"
        if code:
            text += f" ({_how(code)})"
        return "\n".join([text, *self._words])


def _time_left(agent: AgentHandle, status: JobInfo | None) -> dict[str, str]:
    """Return what jupyterlab-server-timer reads: a moment in seconds, a limit in minutes."""
    began = float(agent.facts["began"])
    times = {"JOB_START_TIME": f"{began:.0f}"}
    ends = agent.ends or (status and status.end)
    if ends:
        times["JOB_RUN_TIME"] = str(max(1, round((ends - began) / 60)))
    return times


def _how(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
