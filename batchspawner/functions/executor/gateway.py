"""Gateway to the cluster behind a login host, through one ssh connection.

The connection carries everything: the scheduler's commands, the call folders, and the messages of
agents. Agents call a relay on the login host, which forwards to a port that ssh forwards to us.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import shlex
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ...allocation import relay
from ...allocation.call_folder import CallFolder
from ...allocation.listener import Listener
from ...client.batch_client import BatchClient
from ...client.job_scripts import detection_script, find_scheduler
from ...concurrency import within
from ...errors import BatchError, ConnectionFailed
from ...processes import begin_dialogue
from ...runners import SshRunner
from ...ssh import Ssh
from ...units import seconds

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"

_LOG_BYTES = 64 * 1024
"""How much of a job's log is fetched: errors quote its last lines."""

_RETENTION_DAYS = 7
"""Days for which call folders are kept on the login host."""

_RELAY_START_TIMEOUT_S = 30.0
_RELAY_EXIT_TIMEOUT_S = 5.0

_RECONNECT_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each attempt to connect again; the last one for all later attempts."""

_BEGIN = "batchspawner-gateway"
"""Line before an answer; what a noisy shell start file prints stands before it."""

_DISCOVERY_SCRIPT = """
folder=${BATCHSPAWNER_CALL_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/batchspawner/calls}/functions
umask 077
mkdir -p "$folder" && chmod go-w "$folder" && cd "$folder" || exit
printf '\\nBEGIN\\n%s\\n%s\\n' "$HOME" "$PWD" || exit
find . -mindepth 1 -maxdepth 1 -type d -mtime +DAYS -exec rm -rf {} +
DETECTION
"""
_UNPACK_SCRIPT = 'umask 077 && mkdir -p "$1" && cd "$1" && base64 -d | tar xf -'


class RemoteCallFolder(CallFolder):
    """Call folder on the login host; the one here is a copy of it."""

    gateway: Gateway

    async def deliver(self, *names: str) -> None:
        """Copy files of the folder to the host, all by default. Raises ConnectionFailed."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for file in sorted(self.folder.iterdir()):
                if not names or file.name in names:
                    archive.add(file, file.name)
        await self.gateway.unpack(str(self.seen_as), packed.getvalue())

    async def gather(self) -> None:
        """Fetch the journal, and the end of the log of the job."""
        await self.gateway.fetch(str(self.seen_as / "journal"), self.folder / "journal")
        await self.gateway.fetch(str(self.seen_as / "log"), self.folder / "log", _LOG_BYTES)


class Gateway:
    """Connection to a login host. `python` runs the relay there, and jobs by default."""

    def __init__(self, host: str, options: Sequence[str] = (), python: str = "python3") -> None:
        self.host, self.python = host, python
        self._folder = Path(tempfile.mkdtemp(prefix="bs-"))
        self._ssh = Ssh(host, self._folder, options, bound=True)
        self._calls: list[RemoteCallFolder] = []
        self._relay: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    async def open(self, scheduler: str = "auto") -> Gateway:
        """Connect, and find the scheduler. Raises ConnectionFailed, LookupError."""
        try:
            await self._ssh.open()
            await self._discover(scheduler)
            self.listener = await Listener.open(_LOOPBACK)
            self._port = self.listener.addresses[0][1]
            await self._open_relay()
        except BaseException:
            await self.close()
            raise
        self._supervisor = asyncio.ensure_future(self._reconnect())
        return self

    async def close(self) -> None:
        """Close the connection, unless it is one of the user's that we share."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        await self._close_relay()
        if hasattr(self, "listener"):
            await self.listener.close()
        await self._ssh.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_call(self, runtime: object, *, folder: Path, **settings: Any) -> RemoteCallFolder:
        """Create a call folder that is on the login host, too, under the same name.

        Its job starts in the home directory there, with the scheduler's default environment.
        """
        walltime = float(seconds("runtime", str(runtime))) if runtime else None
        call = RemoteCallFolder.create(folder, runtime=walltime, **settings)
        call.gateway, call.seen_as = self, self.calls / folder.name
        self._calls.append(call)
        return call

    async def unpack(self, folder: str, archive: bytes) -> None:
        """Unpack a tar archive into a private folder on the host. Raises ConnectionFailed."""
        command = ("sh", "-c", _UNPACK_SCRIPT, "sh", folder)
        done = await self.client.runner.run(command, input=base64.b64encode(archive).decode())
        if not done.ok:
            raise ConnectionFailed(f"{folder} cannot be written on {self.host}: {done.text}")

    async def fetch(self, path: str, copy: Path, last_bytes: int = 0) -> None:
        """Copy a plain file from the host, if it exists; only its last bytes, 0 for all."""
        quoted = shlex.quote(path)
        part = f"tail -c {last_bytes} {quoted} | base64" if last_bytes else f"base64 {quoted}"
        with contextlib.suppress(BatchError):
            show = f"printf '\\n%s\\n' {_BEGIN}; {part}"
            done = await self._ssh.run(f"test -f {quoted} && {{ {show}; }}")
            if done.ok:
                copy.write_bytes(base64.b64decode(_after_begin(done.stdout)))

    async def _discover(self, scheduler: str) -> None:
        """Find the folder of calls and the scheduler on the host. Raises ConnectionFailed."""
        script = _DISCOVERY_SCRIPT.replace("DETECTION", detection_script()).replace(
            "DAYS", str(_RETENTION_DAYS)
        )
        answer = await self._ssh.run(script.replace("BEGIN", _BEGIN))
        lines = _after_begin(answer.stdout).splitlines()
        if not answer.ok or len(lines) < 2:
            raise ConnectionFailed(f"{self.host} cannot keep files of jobs: {answer.text}")
        self.home, self.calls = lines[0], PurePosixPath(lines[1])
        if scheduler == "auto":
            scheduler = lines[2] if len(lines) > 2 else ""
        if not scheduler:
            raise ConnectionFailed(
                f"{self.host} has no scheduler's command on the PATH of `ssh {self.host} command`; "
                "name the scheduler, or set PATH where that shell reads it"
            )
        runner = SshRunner((*self._ssh.through, self.host), marks=True)
        self.client = BatchClient(find_scheduler(scheduler), runner)

    async def _open_relay(self) -> None:
        """Start a relay that listens for jobs on every address of the login host."""
        port = await self._ssh.reverse(self._port)
        source = Path(relay.__file__).read_text(encoding="utf-8")
        # The addresses have a line of their own, whatever the login shell prints before them.
        command = f"echo; {shlex.join((self.python, '-c', source, str(port)))}"
        self._relay = process = await begin_dialogue((*self._ssh.through, self.host, command))
        assert process.stdout  # noqa: S101  (both are pipes)
        assert process.stderr  # noqa: S101
        try:
            addresses = await within(_RELAY_START_TIMEOUT_S, _addresses(process.stdout))
            self.listener.addresses = addresses
        except (asyncio.TimeoutError, ValueError):
            await self._close_relay()
            errors = (await process.stderr.read()).decode(errors="replace").strip()
            raise ConnectionFailed(
                f"{self.python} on {self.host} did not start to listen for jobs: {errors}"
            ) from None

    async def _close_relay(self) -> None:
        process, self._relay = self._relay, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await within(_RELAY_EXIT_TIMEOUT_S, process.wait())
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()

    async def _reconnect(self) -> None:
        """Connect again whenever the connection, and with it the relay, is lost."""
        tries = 0
        while True:
            if self._relay is not None:
                await self._relay.wait()
                log.warning("The connection to %s was lost; connecting again", self.host)
            await self._close_relay()
            try:
                if not await self._ssh.is_alive():
                    await self._ssh.open()
                await self._open_relay()
                await self._publish_address()
            except BatchError as error:
                log.warning("Not connected to %s yet: %s", self.host, error)
                await self._close_relay()
                await asyncio.sleep(_RECONNECT_DELAYS_S[min(tries, len(_RECONNECT_DELAYS_S) - 1)])
                tries += 1
            else:
                tries = 0
                log.warning("Connected to %s again", self.host)

    async def _publish_address(self) -> None:
        """Write the new address where disconnected agents look for it."""
        self._calls = [call for call in self._calls if call.ended is None]
        for call in self._calls:
            call.attach(self.listener)
            await call.deliver("call.json")


def _after_begin(text: str) -> str:
    """Return what follows the line that marks the begin of an answer, empty if there is none."""
    return text.partition(f"\n{_BEGIN}\n")[2]


async def _addresses(output: asyncio.StreamReader) -> list[tuple[str, int]]:
    """Return the addresses that the relay prints. Raises ValueError if it ends without any."""
    while line := await output.readline():
        # Before it there may be what the login shell prints.
        with contextlib.suppress(ValueError, TypeError):
            return [(str(name), int(port)) for name, port in json.loads(line)]
    raise ValueError("the relay has printed no addresses")
