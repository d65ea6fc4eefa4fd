"""Cells on another machine, over ssh."""

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
_KEEP_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
"""Options that end a cell whose network is gone: without them we would not notice."""

_CANCEL_TIMEOUT_S = 10.0
"""How long a cell may take to end after an interrupt before it is killed."""

_KILL_TIMEOUT_S = 1.0

# The remote shell reads it from its standard input, then the cell, then names of signals for all
# processes of the cell; the end of the input ends the cell. The signals go to the process group
# that sshd made for us, so this script itself must survive them.
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
# A shell makes processes in the background ignore interrupts.
if [ "$asked" ]; then kill -s TERM 0; fi
exit "$status"
"""


class SshBackend(Backend):
    """A shell of another machine that runs the cell as its script."""

    separates_output = False

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
        # The user's login shell may be any: all of them understand this line.
        begin = f'eval "$(head -c {len(_REMOTE)})"'
        remote = shlex.join(["exec", "sh", "-c", begin, "sh", self._mark, *shlex.split(self.shell)])
        # With BatchMode, ssh fails instead of asking for a password. Of an option that is there
        # twice, ssh takes the first: the user's.
        return [*_SSH, *self.arguments, *_KEEP_ALIVE, "--", self.host, remote]

    async def run(self, script: bytes, record: CellRecord) -> None:
        self.process = await start_process(self.argv, writable=True)
        self.ident = str(self.process.pid)
        record.update(JobInfo(self.ident, JobState.RUNNING, host=self.host))
        record.submitted(f"SSH started with pid: {self.process.pid}")
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
        if not await self.process.ends_within(_KILL_TIMEOUT_S if now else _CANCEL_TIMEOUT_S):
            # The end of the connection ends the cell, too.
            self.process.send(signal.SIGKILL)

    def end_message(self, status: JobInfo) -> str:
        return "Done" if status.succeeded else f"Done: {how_it_ended(status)}"

    async def _follow(self, process: ChildProcess, record: CellRecord) -> None:
        early, source = b"", record.source()
        async for stream, data in process.output:
            if self._reached or stream == "stderr":
                source.write(stream, data)
                continue
            # Before the mark there may be what the login shell prints.
            early += data
            _, found, rest = early.partition(self._mark.encode() + b"\n")
            if found:
                self._reached = True
                source.write("stdout", rest)
        code = await process.wait()
        if not self._reached and not self._cancelled:
            raise BatchError(
                f"ssh could not run anything on {self.host} ({_exit(code)}). It must get in "
                f"without asking for a password: try `ssh -o BatchMode=yes {self.host} true`."
            )
        # Shells report a signal as 128 plus its number.
        code = 128 - code if 128 < code < 128 + 65 else code
        record.update(process_status(self.ident, code, cancelled=self._cancelled))


def _exit(code: int) -> str:
    return f"it was ended by {signal_name(-code)}" if code < 0 else f"exit status {code}"
