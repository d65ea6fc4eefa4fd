"""Follow one life of a kernel: from the wish for it to the end of its process."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BatchError
from .sockets import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..remote import Agent, Process
    from .room import Room
    from .shared import SharedJob
    from .sockets import Curve

log = logging.getLogger(__name__)

CONNECTION_FILE = "connection.json"
"""The name of the connection file, in the folder that the agent makes for a kernel."""

_LAST_WORDS = 20
"""Lines of a kernel's own output that are kept for the error about it."""

_EXPLANATION = 5.0
"""Seconds that a scheduler may take to say why a job is gone, before its kernels are dead."""


@dataclass(frozen=True)
class Command:
    """Hold what a kernel is started with. `connection` has its keys, not yet its ports."""

    argv: tuple[str, ...]
    connection: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    curve: Curve | None = None

    def file(self, ip: str) -> str:
        """Return the connection file, with names for ports that only the node can know."""
        ports = {f"{name}_port": f"{{port{number}}}" for number, name in enumerate(CHANNELS)}
        text = json.dumps({**self.connection, "ip": ip, "transport": "tcp", **ports})
        for place in ports.values():
            text = text.replace(f'"{place}"', place)
        return text


class Launch:
    """Start a kernel in a job as soon as the job runs, and stay with it until it ends.

    `code` is None while it lives, and while it waits. `failure` says that its job is over.
    """

    def __init__(self, job: SharedJob, room: Room, command: Command) -> None:
        self.job = job
        self.room = room
        self.command = command
        self.code: int | None = None
        self.failure: BatchError | None = None
        self.ended, self.answers = asyncio.Event(), asyncio.Event()
        self._process: Process | None = None
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._stop_listening = job.listen(room.tell)
        room.asked_to_end = self.give_up
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
        self.room.disconnect()
        self.code = code
        self.ended.set()

    async def _run(self, agent: Agent) -> int:
        command, ip = self.command, agent.address
        self._process = agent.begin(
            command.argv,
            env=command.env,
            cwd=command.cwd,
            stdin=b"",
            files={CONNECTION_FILE: command.file(ip)},
            ports=len(CHANNELS),
        )
        await self._process.started()
        ports = {f"{name}_port": port for name, port in zip(CHANNELS, self._process.ports)}
        listening = asyncio.ensure_future(self._listen(self._process))
        connecting = asyncio.ensure_future(self._connect({"ip": ip, **ports}))
        try:
            code = await self._process.wait()
            await listening
        finally:
            connecting.cancel()
            listening.cancel()
        if self.job.ending:
            await self._explain()
        if code and not self.answers.is_set():
            log.warning("%s", self._last_words(code))
        return code

    async def _connect(self, info: Mapping[str, Any]) -> None:
        await self.room.connect(info, self.command.curve)
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


def _how(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
