"""One run of a kernel, from the request for it to the end of its process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from ..allocation.forwards import Forwards
from ..concurrency import within
from ..errors import BatchError
from .jobs.kernel_job import occurs
from .jobs.records import forget
from .proxy.channels import CHANNELS, Curve
from .tunnel import LOOPBACK, KernelTunnel

if TYPE_CHECKING:
    from ..allocation.agent_handle import AgentHandle
    from ..allocation.remote_process import RemoteProcess
    from ..jobs import JobInfo
    from .jobs.kernel_job import KernelJob
    from .jobs.records import KernelRecord
    from .proxy.proxy import KernelProxy

log = logging.getLogger(__name__)

CONNECTION_FILE = "connection.json"
"""Name of the connection file, in the folder that the agent makes for a kernel."""

_MAX_OUTPUT_LINES = 20
"""Lines of a kernel's own output that go into the error about it."""

_REASON_TIMEOUT_S = 15.0
"""How long a scheduler may take to report why a job has ended, before its kernels are dead."""

_ENDING_POLL_INTERVAL_S = 1.0
"""How often the scheduler is asked about a job that is about to end."""

_AGENT_SIGNAL_TIMEOUT_S = 1.0
"""How long the signal that has ended a kernel may take to reach the agent, too."""

_SIGNAL_TIMEOUT_S = 1.0
"""How long we wait for a signal to be delivered."""

_PORT_TAKEN = "address already in use"
"""Error of a kernel whose port was taken by another program before it was bound."""

_REPLAY_TIMEOUT_S = 2.0
"""How long an agent takes to report to a new server what has happened before."""


class KernelRun:
    """A kernel that starts as soon as its job runs, until it ends.

    If the record names a process already, that one is followed. `code` is None while the kernel
    waits or lives. `failure` is set if it is useless to start the kernel again.
    """

    def __init__(self, job: KernelJob, proxy: KernelProxy, record: KernelRecord) -> None:
        self.job = job
        self.proxy = proxy
        self.record = record
        self.code: int | None = None
        self.failure: BatchError | None = None
        self.ended, self.answers = asyncio.Event(), asyncio.Event()
        self._process: RemoteProcess | None = None
        self._tunnel: KernelTunnel | None = None
        self._forwards: Forwards | None = None
        self._connect_error: BatchError | None = None
        self._end_requested = False
        self._output: deque[str] = deque(maxlen=_MAX_OUTPUT_LINES)
        self._unsubscribe = job.subscribe(proxy.set_notice)
        proxy.on_shutdown, proxy.final_error = self.give_up, None
        record.write(job.folder)
        job.join(record.kernel)
        self._task = asyncio.ensure_future(self._run())

    async def started(self) -> None:
        """Return when the kernel answers. Raises BatchError if it ends before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.answers, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.answers.is_set():
            raise self.failure or BatchError(self._start_failure())

    async def send(self, number: int) -> None:
        """Send a signal to the kernel and its child processes, or to a kernel that waits."""
        if self.code is not None:
            return
        if self._process is not None:
            self._end_requested = self._end_requested or number != signal.SIGINT
            self._process.send_signal(number)
            # The next cell takes another way, and must not be hit by an interrupt before it.
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_SIGNAL_TIMEOUT_S, self._process.agent.done())
            if self._process.is_over and number == signal.SIGKILL:
                self.abandon()
        elif number == signal.SIGINT:
            await self.proxy.interrupt()
        else:
            self.give_up(-number)

    def give_up(self, code: int = 0) -> None:
        """End a kernel that does not run yet; its job stays."""
        if self._process is None and self.code is None:
            self._task.cancel()
            self._end(code)

    def abandon(self) -> None:
        """Kill a kernel, if it runs, and do not wait for its end."""
        if self.code is None:
            if self._process is not None:
                self._process.send_signal(signal.SIGKILL)
            self._task.cancel()
            self._end(-signal.SIGKILL)

    async def _run(self) -> None:
        try:
            await self.proxy.set_notice(self.job.description)
            code = await self._run_under(await self.job.ready_on(self.record.command.node))
        except BatchError as error:
            self.failure = error
            self.code = code = 1
            log.warning("%s", error)
            await self.proxy.fail(type(error).__name__, str(error), final=True)
        self._end(code)

    def _end(self, code: int) -> None:
        self._unsubscribe()
        forget(self.job.folder, self.record.kernel)
        self.job.kernel_ended(self.record.kernel)
        self.proxy.disconnect()
        self.code = code
        self.ended.set()

    async def _run_under(self, agent: AgentHandle) -> int:
        """Run the kernel's process under an agent; return its exit status."""
        code = await self._run_process(agent)
        if code == -signal.SIGTERM and not self._end_requested:
            # A scheduler signals all processes of a job; the agent may be the last to get it.
            await occurs(self.job.ending, _AGENT_SIGNAL_TIMEOUT_S)
        if self.job.ending.is_set():
            await self._raise_reason()
        if code > 0 and not self.answers.is_set():
            if any(_PORT_TAKEN in line.lower() for line in self._output):
                self._output.clear()
                self.record = replace(self.record, process="")
                return await self._run_under(agent)
            raise BatchError(self._start_failure(code))
        if code and not self._end_requested:
            await self.proxy.fail("KernelDied", self._death_message(code))
        return code

    async def _run_process(self, agent: AgentHandle) -> int:
        """Start or find the kernel's process, connect the proxy, and wait for the end."""
        known = bool(self.record.process)
        self._process = process = self._find(agent) if known else self._start(agent)
        await process.started()
        await self._warn_if_readable(agent)
        listening = asyncio.ensure_future(self._read_output(process))
        connecting = asyncio.ensure_future(self._connect(agent, process, known))
        try:
            code = await process.wait()
            await listening
        finally:
            connecting.cancel()
            listening.cancel()
            if self._forwards is not None:
                await self._forwards.close()
            if self._tunnel is not None:
                await self._tunnel.close()
        if self._connect_error is not None:
            raise self._connect_error
        return code

    def _start(self, agent: AgentHandle) -> RemoteProcess:
        command = self.record.command
        is_local = command.tunnel or command.local_transport
        process = agent.begin(
            command.argv,
            # An agent of an earlier release says nothing about its limits.
            env={
                **agent.facts.get("limits", {}),
                **command.env,
                **_time_left(agent, self.job.allocation.status),
            },
            expand=command.expand,
            cwd=command.cwd,
            stdin=b"",
            files={CONNECTION_FILE: command.file(LOOPBACK if is_local else agent.address)},
            ports=len(CHANNELS),
        )
        self.record = replace(self.record, process=process.id)
        try:
            self.record.write(self.job.folder)
        except OSError as error:
            log.warning(
                "The kernel in job %s goes on, but a server that is started later starts it "
                "again instead of taking it over: %s",
                self.job.job_id,
                error,
            )
        return process

    def _find(self, agent: AgentHandle) -> RemoteProcess:
        """Return the process of a kernel that was started before; it may have ended since."""
        process = agent.process(self.record.process)
        if process.pid is None:
            loop = asyncio.get_running_loop()
            gone = BatchError("the kernel has ended while its server was away")
            loop.call_later(_REPLAY_TIMEOUT_S, process.lost, gone)
        return process

    async def _warn_if_readable(self, agent: AgentHandle) -> None:
        """Warn the user of a kernel whose messages are encrypted by nobody."""
        if self.record.command.local_transport and not agent.is_private:
            text = (
                f"Messages of the kernel in job {self.job.job_id} are not encrypted between here "
                f"and {agent.host}: others who listen on that network can read them"
            )
            log.warning("%s", text)
            await self.proxy.warn(text)

    async def _connect(self, agent: AgentHandle, process: RemoteProcess, known: bool) -> None:
        command = self.record.command
        try:
            addresses = await self._addresses(agent, process)
            await self.proxy.connect(addresses, Curve.of(command.connection), known=known)
            if self._tunnel is not None:
                self._tunnel.on_lost, self._tunnel.on_back = self.proxy.pause, self.proxy.resume
            self.answers.set()
        except BatchError as error:
            self._connect_error = error
            process.send_signal(signal.SIGKILL)

    async def _addresses(self, agent: AgentHandle, process: RemoteProcess) -> dict[str, str]:
        """Return the addresses of the kernel's channels as they are reached from here."""
        command, ip, ports = self.record.command, agent.address, process.ports
        if command.local_transport:
            self._forwards = Forwards(agent, process, command.targets)
            return {name: f"ipc://{path}" for name, path in self._forwards.paths.items()}
        if command.tunnel:
            self._tunnel = KernelTunnel(command.tunnel, agent.host, ports)
            await self._tunnel.opened()
            ip, ports = LOOPBACK, self._tunnel.ports
        return {name: f"tcp://{ip}:{port}" for name, port in zip(CHANNELS, ports)}

    async def _raise_reason(self) -> None:
        """Raise why the job has ended, as soon as the scheduler reports it."""
        self.job.allocation.suspect(_ENDING_POLL_INTERVAL_S)
        await occurs(self.job.ended, _REASON_TIMEOUT_S)
        raise self.job.failure or BatchError(
            f"job {self.job.job_id} was told to end, and its kernels with it"
        )

    async def _read_output(self, process: RemoteProcess) -> None:
        async for stream, data in process.output():
            for line in data.decode(errors="replace").splitlines():
                log.info("%s: %s", stream, line)
                self._output.append(line)

    def _death_message(self, code: int) -> str:
        where = f"the kernel in job {self.job.job_id} died"
        if self._process is not None and self._process.out_of_memory:
            return f"{where}: it needed more memory than the job has; ask for more"
        return f"{where} ({_exit(code)})"

    def _start_failure(self, code: int = 0) -> str:
        text = f"the kernel in job {self.job.job_id} ended before it answered"
        if code:
            text += f" ({_exit(code)})"
        return "\n".join([text, *self._output])


def _time_left(agent: AgentHandle, status: JobInfo | None) -> dict[str, str]:
    """Return the variables that jupyterlab-server-timer reads.

    The start is in seconds since the epoch, the limit in minutes.
    """
    began = float(agent.facts["began"])
    times = {"JOB_START_TIME": f"{began:.0f}"}
    ends = agent.ends or (status and status.end)
    if ends:
        times["JOB_RUN_TIME"] = str(max(1, round((ends - began) / 60)))
    return times


def _exit(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
