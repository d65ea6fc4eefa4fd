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

    from .allocation import Allocation
    from .room import Room
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
    cwd: str | None = None
    curve: Curve | None = None

    @property
    def file(self) -> str:
        """The connection file, with names for what only the node can know."""
        ports = {f"{name}_port": f"{{port{number}}}" for number, name in enumerate(CHANNELS)}
        text = json.dumps({**self.connection, "ip": "{host}", "transport": "tcp", **ports})
        for place in ports.values():
            text = text.replace(f'"{place}"', place)
        return text


class Launch:
    """Start a kernel in a job as soon as the job runs, and stay with it until it ends.

    `code` is None while it lives, and while it waits. `failure` says that its job is over.
    """

    def __init__(self, allocation: Allocation, room: Room, command: Command) -> None:
        self.allocation = allocation
        self.room = room
        self.command = command
        self.code: int | None = None
        self.failure: BatchError | None = None
        self.ended, self.answers = asyncio.Event(), asyncio.Event()
        self._process: Any = None
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._stop_listening = allocation.listen(room.tell)
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
            self._process.send(number)
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
            await self.room.tell(self.allocation.description)
            agent = await self.allocation.ready()
            code = await self._run(agent)
        except BatchError as error:
            self.failure, code = error, 1
            log.warning("%s", error)
            await self.room.fail(type(error).__name__, str(error))
        self._end(code)

    def _end(self, code: int) -> None:
        self._stop_listening()
        self.room.disconnect()
        self.code = code
        self.ended.set()

    async def _run(self, agent: Any) -> int:
        command = self.command
        self._process = await agent.start(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            files={CONNECTION_FILE: command.file.encode()},
            ports=len(CHANNELS),
        )
        ports = {f"{name}_port": port for name, port in zip(CHANNELS, self._process.ports)}
        listening = asyncio.ensure_future(self._listen())
        connecting = asyncio.ensure_future(self._connect({"ip": agent.host, **ports}))
        try:
            code = await self._end_of(agent)
        finally:
            connecting.cancel()
        await listening
        if code and not self.answers.is_set():
            log.warning("%s", self._last_words(code))
        return code

    async def _connect(self, info: Mapping[str, Any]) -> None:
        await self.room.connect(info, self.command.curve)
        self.answers.set()

    async def _end_of(self, agent: Any) -> int:
        """Return how the kernel's process ended. Raises BatchError where its job is over."""
        ending = asyncio.ensure_future(self._process.wait())
        await asyncio.wait((ending, agent.gone), return_when=asyncio.FIRST_COMPLETED)
        if ending.done() and not ending.cancelled() and ending.exception() is None:
            return int(ending.result())
        ending.cancel()
        over = asyncio.ensure_future(self.allocation.ended.wait())
        await asyncio.wait([over], timeout=_EXPLANATION)
        over.cancel()
        raise self.allocation.failure or BatchError(
            f"job {self.allocation.job_id} does not answer any more, and its kernels are gone"
        )

    async def _listen(self) -> None:
        async for stream, data in self._process.output:
            for line in data.decode(errors="replace").splitlines():
                log.info("%s: %s", stream, line)
                self._words.append(line)

    def _last_words(self, code: int = 0) -> str:
        text = f"the kernel in job {self.allocation.job_id} ended before it answered"
        if code:
            text += f" ({_how(code)})"
        return "\n".join([text, *self._words])


def _how(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
