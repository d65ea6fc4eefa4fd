"""Run a cell on this machine, in a shell, without any scheduler."""

from __future__ import annotations

import asyncio
import shlex
import signal
import socket
import tempfile
from typing import TYPE_CHECKING

from ...jobs import JobInfo, JobState
from .base import Backend
from .process import signal_name, start_process

if TYPE_CHECKING:
    from ..record import CellRecord
    from .process import ChildProcess

_POLITE = 10.0
"""Seconds that a cell which was asked to end may take before it is ended."""


class ShellBackend(Backend):
    """Run a cell as a script of a shell."""

    title = "this machine"
    shows_progress = False

    def __init__(self, shell: str, arguments: tuple[str, ...] = ()) -> None:
        self.shell = shell
        self.arguments = arguments
        self.process: ChildProcess | None = None
        self._cancelled = False

    async def run(self, script: bytes, record: CellRecord) -> None:
        # A file without a name: the cell's programs can read their standard input, nobody
        # else the cell, and nothing is left.
        with tempfile.TemporaryFile() as file:
            file.write(script)
            file.flush()
            file.seek(0)
            name = f"/dev/fd/{file.fileno()}"
            argv = [*shlex.split(self.shell), *self.arguments, name]
            self.process = await start_process(argv, files=[file.fileno()])
        self.ident = str(self.process.pid)
        record.tell(JobInfo(self.ident, JobState.RUNNING, host=socket.gethostname()))
        record.accept("")
        source = record.source()
        if self._cancelled:
            self.process.send(signal.SIGKILL)
        try:
            async for stream, data in self.process.output:
                source.say(stream, data)
        except asyncio.CancelledError:
            self.process.send(signal.SIGKILL)
            raise
        code = await self.process.wait()
        record.tell(process_status(self.ident, code, cancelled=self._cancelled))

    async def cancel(self, *, now: bool) -> None:
        """End the cell as Ctrl-C does in a terminal, or for good."""
        self._cancelled = True
        if self.process is None:
            return
        if not now:
            self.process.send(signal.SIGINT)
            await self.process.ends_within(_POLITE)
        self.process.send(signal.SIGKILL)

    def farewell(self, status: JobInfo) -> str:
        return "" if status.succeeded else how_it_ended(status)


def process_status(ident: str, code: int, *, cancelled: bool) -> JobInfo:
    """Say how a process ended, given its status in the manner of `subprocess`."""
    if cancelled and code:
        return JobInfo(ident, JobState.CANCELLED)
    if code < 0:
        return JobInfo(ident, JobState.FAILED, signal=-code)
    return JobInfo(ident, JobState.FAILED if code else JobState.COMPLETED, exit_code=code)


def how_it_ended(status: JobInfo) -> str:
    """Return an end that was no success, for people."""
    if status.signal:
        return f"ended by {signal_name(status.signal)}"
    return f"exit status {status.exit_code}" if status.exit_code else status.describe()
