"""Run a cell on another machine over ssh."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import signal
from typing import TYPE_CHECKING

from ...errors import BatchError
from ...jobs import JobInfo, JobState
from .base import Backend
from .process import signal_name, start_process
from .shell import how_it_ended, process_status

if TYPE_CHECKING:
    from ..record import CellRecord
    from .process import ChildProcess

_SSH = ("ssh", "-T", "-o", "BatchMode=yes")
_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
"""What ends a cell whose network has gone away: nothing else would tell us."""

_POLITE = 10.0
"""Seconds that a cell which was asked to end may take before it is ended."""

# It comes on the standard input of the other side, with the cell behind it. What follows are names
# of signals for all that the cell has started; the end of it is the end of the cell. The signals
# go to the process group that sshd made for us, so nothing here may die of them.
_REMOTE = r"""
mark=$1; shift
umask 077
IFS= read -r size || exit 255
file=$(mktemp) || exit 255
head -c "$size" >"$file"
exec 3<"$file" 4<&0 5>&2 2>/dev/null
rm -f "$file"
asked=
trap asked=1 HUP INT TERM QUIT
(
    trap "" HUP INT TERM QUIT
    while IFS= read -r name; do kill -s "$name" 0; done
    kill -s HUP 0; kill -s TERM 0; sleep 2; kill -s KILL 0
) <&4 4<&- 3<&- 5>&- >/dev/null &
watcher=$!
printf '%s\n' "$mark"
(exec "$@" /dev/fd/3 </dev/null 2>&5 4<&- 5>&-)
status=$?
kill -s KILL "$watcher"
# Processes in the background do not hear an interrupt.
if [ "$asked" ]; then kill -s TERM 0; fi
exit "$status"
"""


class SshBackend(Backend):
    """Run a cell as a script of a shell on another machine."""

    parts_output = False

    def __init__(self, host: str, shell: str, arguments: tuple[str, ...] = ()) -> None:
        self.host = host
        self.title = f"ssh {host}"
        self.shell = shell
        self.arguments = arguments
        self.process: ChildProcess | None = None
        self._mark = f"batchspawner-{secrets.token_hex(8)}"
        self._reached = self._cancelled = False

    @property
    def argv(self) -> list[str]:
        """The ssh command; the cell itself travels on its standard input."""
        # The other side's login shell may be any: it gets one line that all of them understand.
        begin = f'eval "$(head -c {len(_REMOTE)})"'
        remote = shlex.join(["exec", "sh", "-c", begin, "sh", self._mark, *shlex.split(self.shell)])
        # BatchMode: where ssh would ask for a password, it fails. What the line says comes first,
        # and so it counts.
        return [*_SSH, *self.arguments, *_ALIVE, "--", self.host, remote]

    async def run(self, script: bytes, record: CellRecord) -> None:
        self.process = await start_process(self.argv, writable=True)
        self.ident = str(self.process.pid)
        record.tell(JobInfo(self.ident, JobState.RUNNING, host=self.host))
        record.accept(f"SSH started with pid: {self.process.pid}")
        if self._cancelled:
            self.process.send(signal.SIGKILL)
        self.process.write(_REMOTE.encode() + b"%d\n" % len(script) + script)
        try:
            await self._follow(self.process, record)
        except asyncio.CancelledError:
            self.process.send(signal.SIGKILL)
            raise

    async def cancel(self, *, now: bool) -> None:
        self._cancelled = True
        if self.process is None:
            return
        if not self._reached:
            self.process.send(signal.SIGTERM)
        elif not now:
            self.process.write(b"INT\n")
        else:
            self.process.write(b"TERM\nKILL\n")
        if not await self.process.ends_within(1.0 if now else _POLITE):
            # The end of the connection ends the cell, too.
            self.process.send(signal.SIGKILL)

    def farewell(self, status: JobInfo) -> str:
        return "Done" if status.succeeded else f"Done: {how_it_ended(status)}"

    async def _follow(self, process: ChildProcess, record: CellRecord) -> None:
        early, source = b"", record.source()
        async for stream, data in process.output:
            if self._reached or stream == "stderr":
                source.say(stream, data)
                continue
            # What comes before the mark was printed by the login itself.
            early += data
            _, found, rest = early.partition(self._mark.encode() + b"\n")
            if found:
                self._reached = True
                source.say("stdout", rest)
        code = await process.wait()
        if not self._reached and not self._cancelled:
            raise BatchError(
                f"ssh could not run anything on {self.host} ({_exit(code)}). It must get in "
                f"without asking for a password: try `ssh -o BatchMode=yes {self.host} true`."
            )
        # The shells of the way spell signals as 128 and their number.
        code = 128 - code if 128 < code < 128 + 65 else code
        record.tell(process_status(self.ident, code, cancelled=self._cancelled))


def _exit(code: int) -> str:
    return f"it was ended by {signal_name(-code)}" if code < 0 else f"exit status {code}"
