"""Hold what a job needs to call home: a folder with the agent, the key, orders and the journal.

The folder is private (0700), on a file system that the job sees, too. It outlives this process:
`CallFolder.load` takes a call up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import marshal
import os
import re
import secrets
import shlex
import shutil
import sys
import zipfile
from functools import lru_cache
from importlib.util import MAGIC_NUMBER, find_spec
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from .. import agent as agent_package
from ..agent.calling import append
from ..agent.wire import CHUNK, Unpacker, frame_keys, pack
from ..schedulers import scheduler_classes
from .agent_handle import AgentHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from ..errors import BatchError
    from .listener import Listener, _Connection

FOLDER_VARIABLE = "BATCHSPAWNER_CALL_DIR"
"""What names the folder of all calls; it must be one that jobs see."""

_MAIN = """import sys
from batchspawner_agent.core import Agent
sys.exit(Agent(sys.argv[1]).run())
"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def calls_folder() -> Path:
    """Return the folder in which calls have their folders."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(chosen) if chosen else Path(state) / "batchspawner" / "calls"


class CallFolder:
    """Stand for the agents of one submit: one, or one for each element of an array.

    It belongs to the event loop in which it is made.

    Make it by `create` or `load`. `agents` are those that were heard of, by their ids. `seen_as`
    is the folder as the job sees it.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.seen_as: PurePath = folder
        self.id = bytes.fromhex(settings["id"])
        self.key = bytes.fromhex(settings["key"])
        self.agents: dict[str, AgentHandle] = {}
        self.ended: BatchError | None = None
        self._settings = settings
        self._new: asyncio.Queue[AgentHandle | None] = asyncio.Queue()
        self._listener: Listener | None = None
        self._journal = Unpacker(frame_keys(self.key, b"journal")[0])
        self._offset = 0
        self._on_agent: Callable[[AgentHandle], None] = self._new.put_nowait

    @classmethod
    def create(
        cls,
        folder: Path | None = None,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        cwd: str = "",
        linger: float | None = 60.0,
        patience: float | None = None,
        runtime: float | None = None,
    ) -> Self:
        """Make the folder of a call. Raises OSError where that cannot be done.

        `environment` and `cwd` are what the job begins with. Without a driver, an agent ends
        after `linger` seconds where no program runs, after `patience` seconds where one does;
        None is for ever. `runtime` is the walltime in seconds, where it is known.
        """
        folder = folder or calls_folder() / secrets.token_hex(8)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        settings: dict[str, Any] = {
            "id": secrets.token_hex(16),
            "key": secrets.token_hex(32),
            "addresses": [],
            "python": python,
            "linger": linger,
            "patience": patience,
            "runtime": runtime,
            "identity": [one.identity() for one in scheduler_classes()],
        }
        _write(folder / "agent", packed_agent())
        _write(folder / "environment", _exports(environment or {}, cwd).encode())
        self = cls(folder, settings)
        self._write_settings()
        return self

    @classmethod
    def load(cls, folder: Path) -> CallFolder:
        """Take up the call of an earlier process. Raises OSError where there is none."""
        return cls(folder, json.loads((folder / "call.json").read_text()))

    def another(self, folder: Path) -> CallFolder:
        """Make a call for more agents in the same job, which are heard at the same place."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = {"id": secrets.token_hex(16), "key": secrets.token_hex(32)}
        _write(folder / "agent", packed_agent())
        made = CallFolder(folder, {**self._settings, **fresh})
        if self._listener is not None:
            self._listener.expect(made)
        return made

    @property
    def is_here(self) -> bool:
        """Whether this process and the job see the same folder."""
        return self.seen_as == self.folder

    @property
    def command(self) -> str:
        """The shell command that runs the agent, for the job script."""
        # The agent needs none of the packages that a site may load at each start of Python.
        words = (self._settings["python"], "-I", "-S", str(self.seen_as / "agent"))
        return shlex.join((*words, str(self.seen_as / "call.json")))

    @property
    def environment_file(self) -> PurePath:
        """The file that the job script sources first."""
        return self.seen_as / "environment"

    async def deliver(self, *names: str) -> None:
        """Bring files to where the job sees the folder: it is the same one. Raises BatchError."""

    async def gather(self) -> None:
        """Fetch what the job has written from where it sees the folder: it is the same one."""

    def attach(self, listener: Listener) -> None:
        """Write down where the listener listens, and by which certificate it is known."""
        self._listener = listener
        self._settings["addresses"] = listener.addresses
        self._settings["certificate"] = listener.certificate
        self._write_settings()

    def order(self, header: Mapping[str, Any], payload: bytes = b"", agent: str = "") -> None:
        """Write an order into the file that each agent reads when it starts.

        Without a listener, the agents go on reading it, so that it is the way to them.
        """
        addressed = {**header, **({"agent": agent} if agent else {})}
        frame = pack(frame_keys(self.key, b"journal")[1], addressed, payload)
        append(str(self.folder / "orders"), frame)

    async def next_agent(self) -> AgentHandle:
        """Wait for an agent that was not heard of before.

        Raises what `fail` was called with, when the job has ended.
        """
        found = await self._new.get()
        if found is None:
            self._new.put_nowait(None)
            assert self.ended is not None  # noqa: S101  (set before None is put)
            raise self.ended
        return found

    def on_agent(self, callback: Callable[[AgentHandle], None]) -> None:
        """Have a function called with each new agent, instead of `next_agent`."""
        self._on_agent = callback

    def read_journal(self) -> None:
        """Take what the agents have written down, because they could not say it."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "journal").open("rb") as file:
            file.seek(self._offset)
            while data := file.read(CHUNK):
                self._offset += len(data)
                for header, payload in self._journal.feed(data):
                    if header["type"] == "hello":
                        self.hello(header, _Post(self))
                    else:
                        self.heard(header, payload)

    def fail(self, error: BatchError) -> None:
        """Say that the job has ended, and why: what still waits for it hears it now."""
        self.read_journal()
        self.ended = error
        for agent in self.agents.values():
            agent.ended(error)
        self._new.put_nowait(None)

    def close(self, *, remove: bool = True) -> None:
        """Have nothing more to do with the call; by default its folder goes, too."""
        if self._listener is not None:
            self._listener.forget(self)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def hello(self, header: Mapping[str, Any], connection: _Connection | _Post) -> AgentHandle:
        """Take note of an agent that calls, for the first time or again."""
        agent = self._agent(header)
        agent.connected(header, connection)
        return agent

    def heard(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take a frame of an agent."""
        self._agent(header).heard(header, payload)

    def _agent(self, header: Mapping[str, Any]) -> AgentHandle:
        agent = self.agents.get(header["agent"])
        if agent is None:
            agent = self.agents[header["agent"]] = AgentHandle(header["agent"], header)
            self._on_agent(agent)
        return agent

    def _write_settings(self) -> None:
        _write(self.folder / "call.json", json.dumps(self._settings).encode())


class _Post:
    """Send frames to an agent through a file, where they stay."""

    confirms = False

    driver = "files"
    writer = None

    def __init__(self, call: CallFolder) -> None:
        self._call = call

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        if "seq" in header:
            self._call.order(header, payload, header["agent"])

    async def drained(self) -> None:
        return


def _write(file: Path, data: bytes) -> None:
    """Write a file that only we can read, whole at once."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(data)
    temporary.replace(file)


@lru_cache(maxsize=1)
def packed_agent() -> bytes:
    """Return the agent as one file that Python runs; one like ours need not compile it."""
    packed = BytesIO()
    package = agent_package.__name__
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(Path(agent_package.__file__).parent.glob("*.py")):
            if file.name != "__main__.py":
                name = f"batchspawner_agent/{file.name}"
                archive.writestr(name, file.read_bytes())
                module = package if file.stem == "__init__" else f"{package}.{file.stem}"
                archive.writestr(f"{name}c", _compiled(module))
        archive.writestr("__main__.py", _MAIN)
    return packed.getvalue()


def _compiled(module: str) -> bytes:
    """Return a module as Python keeps it compiled, with the mark not to compare it (PEP 552)."""
    spec: Any = find_spec(module)
    return MAGIC_NUMBER + bytes([1, *[0] * 11]) + marshal.dumps(spec.loader.get_code(module))


def _exports(environment: Mapping[str, str], cwd: str) -> str:
    lines = [f"cd {shlex.quote(cwd)}"] if cwd else []
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if _NAME.fullmatch(name) and "\0" not in value
    ]
    return "".join(f"{line}\n" for line in lines)
