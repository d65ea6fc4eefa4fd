"""Jobs that the kernels of several server processes share.

One process is the owner: it submitted the job and is connected with its agent. The others are
attached: they write a request into the folder of the allocation, and the owner makes its agent
start an agent for them, which connects to them. From then on nothing goes through the owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from typing import TYPE_CHECKING

from ...errors import SchedulerError
from .kernel_job import END_TIMEOUT_S, KernelJob, occurs
from .records import find, forget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder
    from ...allocation.remote_process import RemoteProcess

log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.3
"""How often the owner looks for requests."""

_REQUESTS = "letters"
"""Name of the folder of requests; other releases read it, too."""


def write_request(folder: Path, call: CallFolder) -> Path:
    """Ask the owner of an allocation to start the agent of our call in its job."""
    requests = folder / _REQUESTS
    requests.mkdir(mode=0o700, exist_ok=True)
    request, new = requests / call.id.hex(), requests / f".{call.id.hex()}"
    new.write_text(json.dumps({"command": call.command}))
    new.replace(request)
    return request


class OwnedJob(KernelJob):
    """A job that this process has submitted or taken over, and that others can attach to.

    `close` is called before the job is given back: no request comes after that.
    """

    def __init__(self, allocation: Allocation, close: Callable[[], None]) -> None:
        super().__init__(allocation)
        self._close = close
        self._attached: list[RemoteProcess] = []
        self._background.start(self._serve_requests())

    async def _serve_requests(self) -> None:
        await self._arrived.wait()
        while self.agent is not None and self.is_open:
            self._start_agents(self.agent)
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _start_agents(self, agent: AgentHandle) -> None:
        for request in self._requests():
            command: str = json.loads(request.read_text())["command"]
            request.unlink()
            log.info("Another process puts its kernels into job %s, too", self.job_id)
            process = agent.begin(["/bin/sh", "-c", f"exec {command}"], stdin=b"")
            process.on_output = lambda *_: None
            self._attached.append(process)

    def _requests(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return [one for one in (self.folder / _REQUESTS).iterdir() if one.name[0] != "."]
        return []

    def end_unclaimed(self) -> None:
        """End the kernels of an earlier process that no server has asked for again."""
        for record in find(self.folder):
            if record.kernel not in self._kernels:
                forget(self.folder, record.kernel)
                if self.agent is not None and record.process:
                    self.agent.process(record.process).send_signal(signal.SIGKILL)

    async def _release(self) -> None:
        """End the job unless others are attached: by its agent, or else by the scheduler."""
        self._close()
        if self._requests():
            await self._arrived.wait()
        if self.agent is not None:
            self.end_unclaimed()
            self._start_agents(self.agent)
            attached = any(not one.is_over for one in self._attached)
            self._finish(unattended=attached)
            if attached or await self._ends():
                return
        if not self.ended.is_set():
            await self._cancel()
            await self._ends()

    async def _cancel(self) -> None:
        try:
            await self.allocation.cancel()
        except SchedulerError as error:
            log.error("Job %s cannot be given back: %s", self.job_id, error)


class AttachedJob(KernelJob):
    """A job that another process owns, with an agent of ours in it.

    `request` is ours to the owner; None if the agent was started before.
    """

    def __init__(self, allocation: Allocation, request: Path | None) -> None:
        super().__init__(allocation)
        self._request = request

    async def _release(self) -> None:
        """End our agent; the job itself is for its owner to end."""
        if self._request is not None:
            self._request.unlink(missing_ok=True)
        if self.agent is not None:
            silent = asyncio.Event()
            self.agent.on_silent = silent.set
            self._finish()
            await occurs(silent, END_TIMEOUT_S)
        self.ended.set()
