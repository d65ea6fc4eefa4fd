"""Follow one life of a kernel: from the wish for it to the end of its process."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BatchError
from .records import forget
from .sockets import CHANNELS, Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..remote import Agent, Process
    from .records import Record
    from .room import Room
    from .shared import SharedJob

log = logging.getLogger(__name__)

CONNECTION_FILE = "connection.json"
"""The name of the connection file, in the folder that the agent makes for a kernel."""

_LAST_WORDS = 20
"""Lines of a kernel's own output that are kept for the error about it."""

_EXPLANATION = 5.0
"""Seconds that a scheduler may take to say why a job is gone, before its kernels are dead."""


_REPLAY = 2.0
"""Seconds in which an agent tells a new driver what it has missed."""


class Launch:
    """Start a kernel in a job as soon as the job runs, and stay with it until it ends.

    Where the record names a process already, go on with that. `code` is None while the kernel
    lives, and while it waits. `failure` says why it is useless to start it again.
    """

    def __init__(self, job: SharedJob, room: Room, record: Record) -> None:
        self.job = job
        self.room = room
        self.record = record
        self.code: int | None = None
        self.failure: BatchError | None = None
        self.ended, self.answers = asyncio.Event(), asyncio.Event()
        self._process: Process | None = None
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._stop_listening = job.listen(room.tell)
        room.asked_to_end = self.give_up
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
            self._process.send_signal(number)
        elif number == signal.SIGINT:
            await self.room.interrupt()
        else:
            self.give_up(-number)

    def give_up(self, code: int = 0) -> None:
        """End a kernel that does not run yet; its job stays."""
        if self._process is None and self.code is None:
            self._life.cancel()
            self._end(code)

    async def _live(self) -> None:
        try:
            await self.room.tell(self.job.description)
            code = await self._run(await self.job.ready())
        except BatchError as error:
            self.failure = error
            self.code = code = 1
            log.warning("%s", error)
            await self.room.fail(type(error).__name__, str(error))
        self._end(code)

    def _end(self, code: int) -> None:
        self._stop_listening()
        forget(self.job.folder, self.record.kernel)
        self.room.disconnect()
        self.code = code
        self.ended.set()

    async def _run(self, agent: Agent) -> int:
        known = bool(self.record.process)
        self._process = process = self._go_on(agent) if known else self._begin(agent)
        await process.started()
        ports = {f"{name}_port": port for name, port in zip(CHANNELS, process.ports)}
        listening = asyncio.ensure_future(self._listen(process))
        connecting = asyncio.ensure_future(self._connect({"ip": agent.address, **ports}, known))
        try:
            code = await process.wait()
            await listening
        finally:
            connecting.cancel()
            listening.cancel()
        if self.job.ending:
            await self._explain()
        if code > 0 and not self.answers.is_set():
            raise BatchError(self._last_words(code))
        return code

    def _begin(self, agent: Agent) -> Process:
        command = self.record.command
        process = agent.begin(
            command.argv,
            env={**command.env, **_time_left(agent)},
            cwd=command.cwd,
            stdin=b"",
            files={CONNECTION_FILE: command.file(agent.address)},
            ports=len(CHANNELS),
        )
        self.record = replace(self.record, process=process.id)
        self.record.write(self.job.folder)
        return process

    def _go_on(self, agent: Agent) -> Process:
        """Return the process of a kernel that was started before; it may have ended since."""
        process = agent.process(self.record.process)
        if process.pid is None:
            loop = asyncio.get_running_loop()
            gone = BatchError("the kernel has ended while its server was away")
            loop.call_later(_REPLAY, process.lost, gone)
        return process

    async def _connect(self, info: Mapping[str, Any], known: bool) -> None:
        await self.room.connect(info, Curve.of(self.record.command.connection), known=known)
        self.answers.set()

    async def _explain(self) -> None:
        """Raise why the job has ended, as soon as the scheduler says it."""
        over = asyncio.ensure_future(self.job.ended.wait())
        await asyncio.wait([over], timeout=_EXPLANATION)
        over.cancel()
        raise self.job.failure or BatchError(
            f"job {self.job.job_id} was told to end, and its kernels with it"
        )

    async def _listen(self, process: Process) -> None:
        async for stream, data in process.output():
            for line in data.decode(errors="replace").splitlines():
                log.info("%s: %s", stream, line)
                self._words.append(line)

    def _last_words(self, code: int = 0) -> str:
        text = f"the kernel in job {self.job.job_id} ended before it answered"
        if code:
            text += f" ({_how(code)})"
        return "\n".join([text, *self._words])


def _time_left(agent: Agent) -> dict[str, str]:
    """Return the variables by which extensions of JupyterLab show how long a job may run on."""
    began = float(agent.facts["began"])
    times = {"JOB_START_TIME": f"{began:.0f}"}
    if agent.ends is not None:
        times["JOB_RUN_TIME"] = f"{agent.ends - began:.0f}"
    return times


def _how(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
