"""Cells in a shell of this machine, without a scheduler."""

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

_CANCEL_TIMEOUT_S = 10.0
"""How long a cell may take to end after an interrupt before it is killed."""


class ShellBackend(Backend):
    """A shell of this machine that runs the cell as its script."""

    title = "this machine"
    shows_progress = False

    def __init__(self, shell: str, arguments: tuple[str, ...] = ()) -> None:
        self.shell = shell
        self.arguments = arguments
        self.process: ChildProcess | None = None
        self._cancelled = False

    async def run(self, script: bytes, record: CellRecord) -> None:
        # A file without a name: the cell's standard input stays free, nobody else can read the
        # cell, and nothing is left behind.
        with tempfile.TemporaryFile() as file:
            file.write(script)
            file.flush()
            file.seek(0)
            name = f"/dev/fd/{file.fileno()}"
            argv = [*shlex.split(self.shell), *self.arguments, name]
            self.process = await start_process(argv, files=[file.fileno()])
        self.ident = str(self.process.pid)
        record.update(JobInfo(self.ident, JobState.RUNNING, host=socket.gethostname()))
        record.submitted("")
        source = record.source()
        if self._cancelled:
            self.process.send(signal.SIGKILL)
        try:
            async for stream, data in self.process.output:
                source.write(stream, data)
        except asyncio.CancelledError:
            self.process.send(signal.SIGKILL)
            raise
        code = await self.process.wait()
        record.update(process_status(self.ident, code, cancelled=self._cancelled))

    async def cancel(self, *, now: bool) -> None:
        """Interrupt the cell as Ctrl-C does in a terminal, or kill it."""
        self._cancelled = True
        if self.process is None:
            return
        if not now:
            self.process.send(signal.SIGINT)
            await self.process.ends_within(_CANCEL_TIMEOUT_S)
        self.process.send(signal.SIGKILL)

    def end_message(self, status: JobInfo) -> str:
        return "" if status.succeeded else how_it_ended(status)


def process_status(ident: str, code: int, *, cancelled: bool) -> JobInfo:
    """Return the status of a process that has ended; `code` is that of `subprocess`."""
    if cancelled and code:
        return JobInfo(ident, JobState.CANCELLED)
    if code < 0:
        return JobInfo(ident, JobState.FAILED, signal=-code)
    return JobInfo(ident, JobState.FAILED if code else JobState.COMPLETED, exit_code=code)


def how_it_ended(status: JobInfo) -> str:
    """Return a description of a failure: the signal, the exit status or the state."""
    if status.signal:
        return f"ended by {signal_name(status.signal)}"
    return f"exit status {status.exit_code}" if status.exit_code else status.describe()
