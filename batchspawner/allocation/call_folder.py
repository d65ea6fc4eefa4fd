"""The folder of a call: what agents in a job need to call home, and what they leave behind.

It holds the agent, the key, orders and the journal (docs/agent.md). It is private (0700), and on
a file system that the job sees, too. It outlives this process: `CallFolder.load` continues a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import marshal
import os
import secrets
import shlex
import shutil
import sys
import zipfile
from functools import lru_cache
from importlib.util import MAGIC_NUMBER, find_spec
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from .. import agent as agent_package
from ..agent.journal import append
from ..agent.protocol import CHUNK_BYTES, Unpacker, frame_keys, pack
from ..schedulers import scheduler_classes
from .agent_handle import AgentHandle
from .job_environment import exports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from ..agent.protocol import CallSettings, Header
    from ..errors import BatchError
    from .agent_handle import AgentConnection

FOLDER_VARIABLE = "BATCHSPAWNER_CALL_DIR"
"""The environment variable that names the folder of all calls; jobs must see that folder."""

_MAIN = """import sys
from batchspawner_agent.agent import Agent
sys.exit(Agent(sys.argv[1]).run())
"""


class CallListener(Protocol):
    """Where the agents of a call connect to: what a call needs of `listener.Listener`."""

    addresses: list[tuple[str, int]]
    certificate: str

    def expect(self, call: CallFolder) -> None:
        """Accept the agents of a call."""

    def forget(self, call: CallFolder) -> None:
        """Accept the agents of a call no longer."""


def calls_folder() -> Path:
    """Return the folder in which calls have their folders."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(chosen) if chosen else Path(state) / "batchspawner" / "calls"


class CallFolder:
    """The agents of one submit: one, or one for each element of an array.

    Get it from `create` or `load`; it belongs to the event loop in which that happens. `agents`
    are those that have called, by their ids. `seen_as` is the folder as the job sees it. `ended`
    is why the job ended, None while it runs.
    """

    def __init__(self, folder: Path, settings: CallSettings) -> None:
        self.folder = folder
        self.seen_as: PurePath = folder
        self.id = bytes.fromhex(settings["id"])
        self.key = bytes.fromhex(settings["key"])
        self.agents: dict[str, AgentHandle] = {}
        self.ended: BatchError | None = None
        self._settings = settings
        self._new: asyncio.Queue[AgentHandle | None] = asyncio.Queue()
        self._listener: CallListener | None = None
        self._journal = Unpacker(frame_keys(self.key, b"journal")[0])
        self._offset = 0

    @classmethod
    def create(
        cls,
        folder: Path | None = None,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        cwd: str = "",
        linger: float | None = 60.0,
        linger_after: float | None = 60.0,
        orphan_timeout: float | None = None,
        runtime: float | None = None,
    ) -> Self:
        """Create the folder of a call. Raises OSError if that is not possible.

        `environment` and `cwd` are what the job starts with. An agent that has no driver ends
        after `linger` seconds if it has run no program, `linger_after` seconds after its last one,
        and after `orphan_timeout` seconds if it
        does; None is without limit. `runtime` is the walltime in seconds, if it is known.
        """
        folder = folder or calls_folder() / secrets.token_hex(8)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        settings: CallSettings = {
            "id": secrets.token_hex(16),
            "key": secrets.token_hex(32),
            "addresses": [],
            "python": python,
            "linger": linger,
            "linger_after": linger_after,
            "patience": orphan_timeout,
            "runtime": runtime,
            "identity": [one.identity() for one in scheduler_classes()],
        }
        _write(folder / "agent", packed_agent())
        _write(folder / "environment", exports(environment or {}, cwd).encode())
        self = cls(folder, settings)
        self._write_settings()
        return self

    @classmethod
    def load(cls, folder: Path) -> CallFolder:
        """Continue the call of an earlier process. Raises OSError if there is none."""
        return cls(folder, json.loads((folder / "call.json").read_text()))

    def another(self, folder: Path) -> CallFolder:
        """Create a call for more agents in the same job, which connect to the same listener."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder / "agent", packed_agent())
        settings = self._settings.copy()
        settings["id"], settings["key"] = secrets.token_hex(16), secrets.token_hex(32)
        made = CallFolder(folder, settings)
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
        """Copy files to where the job sees the folder, if that is elsewhere. Raises BatchError."""

    async def gather(self) -> None:
        """Fetch what the job has written into the folder, if that is elsewhere."""

    def attach(self, listener: CallListener) -> None:
        """Write the addresses and the certificate of the listener into `call.json`."""
        self._listener = listener
        self._settings["addresses"] = listener.addresses
        self._settings["certificate"] = listener.certificate
        self._write_settings()

    def order(self, header: Header, payload: bytes = b"", agent: str = "") -> None:
        """Write an order into the file that each agent reads when it starts.

        It is for the agent with this id, by default for all. Without a listener, the agents keep
        reading the file.
        """
        header = header.copy()
        if agent:
            header["agent"] = agent
        frame = pack(frame_keys(self.key, b"journal")[1], header, payload)
        append(str(self.folder / "orders"), frame)

    async def next_agent(self) -> AgentHandle:
        """Wait for an agent that has not called before.

        Raises what `fail` was called with, if the job has ended.
        """
        found = await self._new.get()
        if found is None:
            self._new.put_nowait(None)
            assert self.ended is not None  # noqa: S101  (set before None is put)
            raise self.ended
        return found

    def read_journal(self) -> None:
        """Handle what the agents have written into the journal, because they could not send it."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "journal").open("rb") as file:
            file.seek(self._offset)
            while data := file.read(CHUNK_BYTES):
                self._offset += len(data)
                for header, payload in self._journal.feed(data):
                    if header["type"] == "hello":
                        self.hello(header, _FileConnection(self))
                    else:
                        self.receive(header, payload)

    def fail(self, error: BatchError) -> None:
        """Mark the call as ended; whoever still waits for an agent or a program gets the error."""
        self.read_journal()
        self.ended = error
        for agent in self.agents.values():
            agent.ended(error)
        self._new.put_nowait(None)

    def close(self, *, remove: bool = True) -> None:
        """Forget the call; by default remove its folder, too."""
        if self._listener is not None:
            self._listener.forget(self)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def hello(self, header: Header, connection: AgentConnection) -> AgentHandle:
        """Return the agent that calls, for the first time or again, with its new connection."""
        agent = self._agent(header)
        agent.connected(header, connection)
        return agent

    def receive(self, header: Header, payload: bytes) -> None:
        """Handle a frame of an agent."""
        self._agent(header).receive(header, payload)

    def _agent(self, header: Header) -> AgentHandle:
        agent = self.agents.get(header["agent"])
        if agent is None:
            agent = self.agents[header["agent"]] = AgentHandle(header["agent"], header)
            self._new.put_nowait(agent)
        return agent

    def _write_settings(self) -> None:
        _write(self.folder / "call.json", json.dumps(self._settings).encode())


class _FileConnection:
    """A way to an agent through the file of orders, where frames stay."""

    confirms = False
    driver = "files"
    writer: asyncio.StreamWriter | None = None

    def __init__(self, call: CallFolder) -> None:
        self._call = call

    def send(self, header: Header, payload: bytes = b"") -> None:
        if "seq" in header:
            self._call.order(header, payload, header["agent"])

    async def drained(self) -> None:
        return


def _write(file: Path, data: bytes) -> None:
    """Write a file (0600) atomically."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(data)
    temporary.replace(file)


@lru_cache(maxsize=1)
def packed_agent() -> bytes:
    """Return the agent as one file that Python runs, with bytecode for Pythons like ours."""
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
    """Return the content of a .pyc file that is never compared with its source (PEP 552)."""
    spec: Any = find_spec(module)
    return MAGIC_NUMBER + bytes([1, *[0] * 11]) + marshal.dumps(spec.loader.get_code(module))
