"""Let the kernels of several server processes share a job.

One process is the host: it submitted the job and speaks with its agent. The others are guests:
they put a letter into the folder of the allocation, and the host has the agent start an agent of
theirs, which calls them. From then on nothing goes through the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from typing import TYPE_CHECKING

from ...errors import SchedulerError
from .kernel_job import FAREWELL, KernelJob, happens
from .records import find, forget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle, RemoteProcess
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder

log = logging.getLogger(__name__)

_LOOK = 0.3
"""Seconds between two looks for letters."""

_LETTERS = "letters"


def write_letter(folder: Path, call: CallFolder) -> Path:
    """Ask the host of an allocation to have the agent of our call started there."""
    place = folder / _LETTERS
    place.mkdir(mode=0o700, exist_ok=True)
    letter, fresh = place / call.id.hex(), place / f".{call.id.hex()}"
    fresh.write_text(json.dumps({"command": call.command}))
    fresh.replace(letter)
    return letter


class OwnedJob(KernelJob):
    """Hold a job that this process has submitted, or taken over, and let guests in.

    `close` is called before the job is given back: no letter comes after that.
    """

    def __init__(self, allocation: Allocation, close: Callable[[], None]) -> None:
        super().__init__(allocation)
        self._close = close
        self._guests: list[RemoteProcess] = []
        self._tasks.add(asyncio.ensure_future(self._welcome()))

    async def _welcome(self) -> None:
        await self._arrived.wait()
        while self.agent is not None and self.is_open:
            self._let_in(self.agent)
            await asyncio.sleep(_LOOK)

    def _let_in(self, agent: AgentHandle) -> None:
        for letter in self._letters():
            command = json.loads(letter.read_text())["command"]
            letter.unlink()
            log.info("Another process puts its kernels into job %s, too", self.job_id)
            guest = agent.begin(["/bin/sh", "-c", f"exec {command}"], stdin=b"")
            guest.on_output = lambda *_: None
            self._guests.append(guest)

    def _letters(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return [one for one in (self.folder / _LETTERS).iterdir() if one.name[0] != "."]
        return []

    def end_unclaimed(self) -> None:
        """End the kernels of an earlier process that nobody has asked for again."""
        for record in find(self.folder):
            if record.kernel not in self._kernels:
                forget(self.folder, record.kernel)
                if self.agent is not None and record.process:
                    self.agent.process(record.process).send_signal(signal.SIGKILL)

    async def _release(self) -> None:
        """End the job, but for guests: by itself where it runs, else through the scheduler."""
        self._close()
        if self._letters():
            await self._arrived.wait()
        if self.agent is not None:
            self.end_unclaimed()
            self._let_in(self.agent)
            guests = [one for one in self._guests if not one.is_over]
            self._finish(unattended=bool(guests))
            if guests or await self._ends():
                return
        if not self.ended.is_set():
            await self._withdraw()
            await self._ends()

    async def _withdraw(self) -> None:
        try:
            await self.allocation.cancel()
        except SchedulerError as error:
            log.error("Job %s cannot be given back: %s", self.job_id, error)


class AttachedJob(KernelJob):
    """Hold a job that another process has submitted, through an agent of our own in it."""

    def __init__(self, allocation: Allocation, letter: Path | None) -> None:
        super().__init__(allocation)
        self._letter = letter

    async def _release(self) -> None:
        """Take our agent back; the job is for its host to end."""
        if self._letter is not None:
            self._letter.unlink(missing_ok=True)
        if self.agent is not None:
            silent = asyncio.Event()
            self.agent.on_silent = silent.set
            self._finish()
            await happens(silent, FAREWELL)
        self.ended.set()
