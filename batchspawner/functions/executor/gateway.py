"""Be on a login host through one ssh connection: its scheduler, its files, and a way home for jobs.

The connection carries everything: the scheduler's commands, the folders of calls, and what agents
say. These call a relay on the login host, which hands on to a port that ssh forwards to us.
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
from ...errors import BatchError, ConnectionFailed
from ...runners import SshRunner, begin_dialogue
from ...ssh import Ssh
from ...units import seconds

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_LOCAL = "127.0.0.1"
_KEPT = 7
"""Days for which the folders of calls are kept there."""

_START = 30.0
"""Seconds that the relay has to start."""

_BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each try to connect again; the last one for ever."""

_LOOK = """
folder=${BATCHSPAWNER_CALL_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/batchspawner/calls}/functions
mkdir -p "$folder" && cd "$folder" && printf '%s\\n' "$HOME" "$PWD" || exit
find . -mindepth 1 -maxdepth 1 -type d -mtime +DAYS -exec rm -rf {} +
DETECTION
"""
_UNPACK = 'umask 077 && mkdir -p "$1" && cd "$1" && base64 -d | tar xf -'


class RemoteCallFolder(CallFolder):
    """Stand for a call whose folder lies on the login host; ours here is its copy."""

    gateway: Gateway

    async def deliver(self, *names: str) -> None:
        """Bring files of the folder there, all of them by default. Raises ConnectionFailed."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for file in sorted(self.folder.iterdir()):
                if not names or file.name in names:
                    archive.add(file, file.name)
        await self.gateway.unpack(str(self.seen_as), packed.getvalue())

    async def gather(self) -> None:
        """Fetch what the job has left there."""
        for name in ("journal", "log"):
            await self.gateway.fetch(str(self.seen_as / name), self.folder / name)


class Gateway:
    """Hold a connection to a login host. `python` runs the relay there, and jobs by default."""

    def __init__(self, host: str, options: Sequence[str] = (), python: str = "python3") -> None:
        self.host, self.python = host, python
        self._folder = Path(tempfile.mkdtemp(prefix="bs-"))
        self._ssh = Ssh(host, self._folder, options, bound=True)
        self._calls: list[RemoteCallFolder] = []
        self._relay: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self, scheduler: str = "auto") -> Gateway:
        """Connect, and find the scheduler. Raises ConnectionFailed, LookupError."""
        try:
            await self._ssh.open()
            await self._look(scheduler)
            self.listener = await Listener.open(_LOCAL)
            self._port = self.listener.addresses[0][1]
            await self._open_door()
        except BaseException:
            await self.close()
            raise
        self._keeper = asyncio.ensure_future(self._keep())
        return self

    async def close(self) -> None:
        """End the connection where it is ours."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._close_door()
        if hasattr(self, "listener"):
            await self.listener.close()
        await self._ssh.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_call(self, runtime: object, *, folder: Path, **settings: Any) -> RemoteCallFolder:
        """Make a call that has its folder on the login host, too, under the same name.

        Its job begins with the environment that the scheduler gives it, in the home there.
        """
        walltime = float(seconds("runtime", str(runtime))) if runtime else None
        call = RemoteCallFolder.create(folder, runtime=walltime, **settings)
        call.gateway, call.seen_as = self, self.calls / folder.name
        self._calls.append(call)
        return call

    async def unpack(self, folder: str, archive: bytes) -> None:
        """Unpack a tar archive into a private folder there. Raises ConnectionFailed."""
        command = ("sh", "-c", _UNPACK, "sh", folder)
        done = await self.client.runner.run(command, input=base64.b64encode(archive).decode())
        if not done.ok:
            raise ConnectionFailed(f"{folder} cannot be written on {self.host}: {done.text}")

    async def fetch(self, path: str, copy: Path) -> None:
        """Copy a file from there, if there is one."""
        quoted = shlex.quote(path)
        with contextlib.suppress(BatchError):
            done = await self._ssh.run(f"test -e {quoted} && base64 {quoted}")
            if done.ok:
                copy.write_bytes(base64.b64decode(done.stdout))

    async def _look(self, scheduler: str) -> None:
        """Find out where the folders of calls are, and which scheduler there is."""
        script = _LOOK.replace("DETECTION", detection_script()).replace("DAYS", str(_KEPT))
        answer = await self._ssh.run(script)
        lines = answer.stdout.splitlines()
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
        runner = SshRunner((*self._ssh.through, self.host))
        self.client = BatchClient(find_scheduler(scheduler), runner)

    async def _open_door(self) -> None:
        """Have jobs let in, from every address of the login host."""
        port = await self._ssh.reverse(self._port)
        source = Path(relay.__file__).read_text(encoding="utf-8")
        command = shlex.join((self.python, "-c", source, str(port)))
        self._relay = process = await begin_dialogue((*self._ssh.through, self.host, command))
        assert process.stdout  # noqa: S101  (asked for)
        assert process.stderr  # noqa: S101
        try:
            told = await asyncio.wait_for(process.stdout.readline(), _START)
            self.listener.addresses = [(name, number) for name, number in json.loads(told)]
        except (asyncio.TimeoutError, ValueError):
            await self._close_door()
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise ConnectionFailed(
                f"{self.python} on {self.host} did not start to listen for jobs: {said}"
            ) from None

    async def _close_door(self) -> None:
        process, self._relay = self._relay, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        """Connect again whenever the connection, and with it the relay, is lost."""
        tries = 0
        while True:
            if self._relay is not None:
                await self._relay.wait()
                log.warning("The connection to %s was lost; connecting again", self.host)
            await self._close_door()
            try:
                if not await self._ssh.is_alive():
                    await self._ssh.open()
                await self._open_door()
                await self._tell()
            except BatchError as error:
                log.warning("Not connected to %s yet: %s", self.host, error)
                await self._close_door()
                await asyncio.sleep(_BACK_OFF[min(tries, len(_BACK_OFF) - 1)])
                tries += 1
            else:
                tries = 0
                log.warning("Connected to %s again", self.host)

    async def _tell(self) -> None:
        """Let the agents that look for us find the new address."""
        self._calls = [call for call in self._calls if call.ended is None]
        for call in self._calls:
            call.attach(self.listener)
            await call.deliver("call.json")
