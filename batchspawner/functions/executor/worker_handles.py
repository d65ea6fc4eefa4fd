"""Handles of workers that run under agents, in jobs of any scheduler."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Protocol

from ...agent.journal import append
from ...agent.protocol import OWN_PYTHON
from ...errors import BatchError, JobFailed, JobPreempted, NodeFailed, failure_of
from ..function_job import FunctionJob
from ..protocol import worker
from ..protocol.frames import take_frames
from ..protocol.main_module import interpreter
from ..protocol.payload import welcome
from ..protocol.results import EXTERNAL_SIGNALS, worker_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder
    from ...allocation.remote_process import RemoteProcess
    from ...client.batch_client import BatchClient
    from ..protocol.worker import Frame, Header

log = logging.getLogger(__name__)

FIRST_WORKER_ID = "first"
"""Process id of the worker that each agent starts by itself."""

_JOB_QUERY_INTERVAL_S = 5.0
"""Seconds between two queries of a job whose agent is silent, or whose worker got a signal."""

_DISCONNECT_POLL_INTERVAL_S = 0.1
_DISCONNECT_POLLS = 20
"""How often the agent of a killed worker is looked at, before its job counts as alive."""


class JobRequeued(JobPreempted):
    """The job was interrupted, and waits in the queue again."""

    def __str__(self) -> str:
        return f"job {self.status.job_id} was interrupted and requeued: {self.status.describe()}"


class WorkerOwner(Protocol):
    """What started a worker and is told when it has ended: its provider."""

    margin: float
    results: str

    environment: Mapping[str, str]
    """Variables for its workers."""

    folder: str
    """Folder in which its workers run, empty for that of this process."""

    def start_task(self, work: Coroutine[object, object, None]) -> None:
        """Run some work in the background, until the provider is closed."""

    def worker_ended(self, handle: AgentWorkerHandle) -> None:
        """Replace the worker, or release its agent."""

    async def end_of(self, element: str) -> BatchError | None:
        """Return why a job or array element ended, None if the scheduler does not know."""

    def requeued(self, allocation: Allocation) -> None:
        """Expect another worker of a job that has to wait in the queue again."""


class AgentWorkerHandle:
    """Connection to a worker through the agent of its job."""

    def __init__(
        self,
        owner: WorkerOwner,
        allocation: Allocation,
        agent: AgentHandle,
        *,
        is_first: bool = False,
    ) -> None:
        self._owner, self.allocation, self.agent = owner, allocation, agent
        self.element = allocation.element_of(agent)
        self.name = f"{self.element} on {agent.host}"
        self._call = allocation.call
        self.spool = self._call.folder if self._call.is_here else None
        self.job: FunctionJob | None = FunctionJob(
            allocation.client, self._call.folder, allocation.job_id
        )
        self.job.element, self.job.started = self.element, True
        self._is_first = is_first
        self._process: RemoteProcess | None = None
        self._errors = LogTail()
        self._signalled = self._finished = self._has_answered = self._requeued = False

    async def start(self) -> None:
        """Start the worker. Raises BatchError if that is not possible."""
        if self._is_first:
            self._process = self.agent.process(FIRST_WORKER_ID)
        else:
            argv, env = worker_command(self._call, self._owner.environment)
            self._process = self.agent.begin(argv, env=env)
        self.agent.on_signal = self._on_signal
        self.agent.on_silent = self._on_silent
        spool = None if self.spool is None else str(self.spool)
        await self.send(welcome(spool, self._owner.folder, self._owner.results))

    @property
    def is_ending(self) -> bool:
        ends, began = self.agent.ends, float(self.agent.facts.get("began", 0))
        # A job that is shorter than the margin must be of use, too.
        near = ends is not None and ends - time.time() < min(self._owner.margin, (ends - began) / 2)
        return near or self._signalled or self.agent.over is not None

    async def send(self, data: bytes) -> None:
        if self._process is not None:
            self._process.write(data)
            await self.agent.drained()

    async def answers(self) -> AsyncIterator[Frame]:
        buffer = bytearray()
        assert self._process is not None  # noqa: S101  (started before)
        async for stream, data in self._process.output():
            if stream == "stderr":
                self._errors.add(data)
                if not self._call.is_here:
                    self._write_log(data)
                continue
            buffer += data
            for frame in take_frames(buffer):
                self._note_answer(frame[0])
                yield frame
        self._owner.worker_ended(self)

    def _write_log(self, printed: bytes) -> None:
        """Append what a worker prints to a log here, if its own is on another machine."""
        if self.job:
            self.job.log_name = f"output-{self.agent.id}"
            append(str(self.job.log_file), printed)

    def _note_answer(self, header: Header) -> None:
        self._has_answered = True
        # Only a file of the call's own folder, whatever the worker says.
        if header.get("log") and self.job and "/" not in header["log"]:
            self.job.log_name = header["log"]

    async def exit_reason(self) -> BaseException:
        assert self._process is not None  # noqa: S101
        try:
            code = await self._process.wait()
        except (NodeFailed, JobPreempted) as error:
            return error
        except BatchError as error:
            return await self._ask_scheduler(error)
        failure = worker_failure(self.name, code, self.log_tail())
        job_is_ending = code in EXTERNAL_SIGNALS or self._signalled
        if code == -signal.SIGKILL:
            job_is_ending = job_is_ending or await self._agent_disconnects()
        return await self._ask_scheduler(failure) if job_is_ending else failure

    async def _agent_disconnects(self) -> bool:
        """Return whether the whole job ends, and not only its worker was killed."""
        for _ in range(_DISCONNECT_POLLS):
            if not self.agent.online.is_set():
                return True
            await asyncio.sleep(_DISCONNECT_POLL_INTERVAL_S)
        return False

    def finish(self) -> None:
        self._finished = True
        if self._process is not None:
            self._process.close_stdin()

    async def detach(self) -> None:
        self.finish()
        self.release_agent()
        await self.agent.done()

    def log_tail(self) -> str:
        printed = self.job.log_tail() if self.job else ""
        return "\n".join(filter(None, (printed, self._errors.text)))

    @property
    def can_be_replaced(self) -> bool:
        """Whether the job can run another worker in the place of this one."""
        alive = self._has_answered and self.agent.online.is_set()
        return alive and not self._finished and not self.is_ending

    def release_agent(self) -> None:
        """Order the agent, and so its job, to end when its worker has."""
        if self.agent.over is None:
            self.agent.finish()

    def _on_signal(self, number: int) -> None:
        self._signalled = True
        log.info("%s got signal %d; it takes no more calls", self.name, number)

    def _on_silent(self) -> None:
        """Check the job; called when its agent says goodbye or is disconnected."""
        if self._finished:
            return
        self.allocation.suspect()
        self._owner.start_task(self._watch_job())

    async def _watch_job(self) -> None:
        """Watch the job, or the array element, while its agent is silent.

        Other elements may still run, and a job that was requeued waits for its next start.
        """
        looking = asyncio.ensure_future(interruption(self.allocation.client, self.element))
        back = asyncio.ensure_future(self.agent.online.wait())
        try:
            await asyncio.wait((looking, back), return_when=asyncio.FIRST_COMPLETED)
            if looking.done() and not self.agent.online.is_set() and self.agent.over is None:
                error = looking.result() or BatchError(f"job {self.element} has ended")
                if isinstance(error, JobRequeued) or self.element != self.allocation.job_id:
                    self._note_requeue(error)
                    self.agent.ended(error)
        finally:
            looking.cancel()
            back.cancel()

    def _note_requeue(self, reason: BaseException | None) -> None:
        if isinstance(reason, JobRequeued) and not self._requeued:
            self._requeued = True
            self._owner.requeued(self.allocation)

    async def _ask_scheduler(self, error: BatchError) -> BaseException:
        """Return why the job ended by its scheduler, or `error` if that knows nothing better."""
        found = await self._owner.end_of(self.element)
        self._note_requeue(found)
        if found is None or type(found) in (BatchError, JobFailed):
            return error
        if isinstance(found, JobFailed):
            return type(found)(found.status, self.log_tail())
        return found


async def interruption(client: BatchClient, job_id: str) -> BatchError | None:
    """Wait until a job that has run does so no longer, and return why; None if it succeeded.

    A job that waits in the queue again was preempted, or has lost its node.
    """
    watch = client.watch(job_id, _JOB_QUERY_INTERVAL_S)
    try:
        status = await watch.renewed()
        while not status.is_final and not status.state.is_waiting:
            status = await watch.change(status)
    finally:
        watch.close()
    return JobRequeued(status) if status.state.is_waiting else failure_of(status)


def worker_command(
    call: CallFolder, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the command of a worker, and its environment variables: those given and more.

    It runs in the Python of its agent, which may be in a container already.
    """
    log = {worker.LOG: str(call.folder / "output-")} if call.is_here else {}
    return [*interpreter(OWN_PYTHON), str(call.seen_as / "worker.py")], {**environment, **log}


class LogTail:
    """The last bytes of a log."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._data = b""

    def add(self, data: bytes) -> None:
        self._data = (self._data + data)[-self._limit :]

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace").strip()
