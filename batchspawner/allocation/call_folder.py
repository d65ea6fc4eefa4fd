"""The folder of a call: what agents in a job need to call home, and what they leave behind.

It holds the agent, the key, orders and the journal (docs/agent.md). It is private (0700), and on
a file system that the job sees, too. It outlives this process: `CallFolder.load` continues a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import shlex
import shutil
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from ..agent.journal import append
from ..agent.protocol import CHUNK_BYTES, ProtocolError, Unpacker, frame_keys, pack
from ..private_folders import close_for_others, first_open, make_folders, open_plain
from ..schedulers import scheduler_classes
from .agent_handle import AgentHandle
from .job_environment import exports
from .packed_agent import packed_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

    from ..agent.protocol import CallSettings, Frame, Header
    from ..errors import BatchError
    from .agent_handle import AgentConnection

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "BATCHSPAWNER_CALL_DIR"
"""The environment variable that names the folder of all calls; jobs must see that folder."""


class CallListener(Protocol):
    """Where the agents of a call connect to: what a call needs of `listener.Listener`."""

    addresses: list[tuple[str, int]]
    certificate: str
    takes_plain: bool

    def expect(self, call: CallFolder) -> None:
        """Accept the agents of a call."""

    def forget(self, call: CallFolder) -> None:
        """Accept the agents of a call no longer."""


def calls_folder() -> Path:
    """Return the folder in which calls have their folders."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(chosen) if chosen else Path(state) / "batchspawner" / "calls"


def make_private(folder: Path) -> None:
    """Make a folder for files of jobs that only its user can enter.

    What is in it runs in a job, so nobody else may put another one in its place. Raises OSError,
    which says how to name another folder.
    """
    calls = calls_folder()
    ours = [one for one in folder.parents if calls in one.parents]
    with naming(folder):
        if not os.environ.get(FOLDER_VARIABLE):
            ours += [calls, calls.parent]
        elif (place := first_open(calls)) is not None:
            how = f"others may replace files there; run: chmod go-w {shlex.quote(str(place))}"
            raise PermissionError(errno.EPERM, how, str(place))
        make_folders(folder)
        folder.chmod(0o700)
        for one in ours:
            close_for_others(one)


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Add the folder of a job, and how to choose another, to an OSError of a block.

    The error of a full disk, or of a quota that is used up, does not name a file.
    """
    try:
        yield
    except OSError as error:
        hint = f"{error.strerror}; {FOLDER_VARIABLE} can name another folder for the files of jobs"
        raise OSError(error.errno, hint, str(error.filename or folder)) from error


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
        self._is_spoilt = False

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
        """Create the folder of a call. Raises OSError, and leaves none, if that is not possible.

        `environment` and `cwd` are what the job starts with. An agent that has no driver ends
        after `linger` seconds if it has run no program, `linger_after` seconds after its last one,
        and after `orphan_timeout` seconds if it
        does; None is without limit. `runtime` is the walltime in seconds, if it is known.
        """
        folder = folder or calls_folder() / secrets.token_hex(8)
        make_private(folder)
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
        self = cls(folder, settings)
        with self.filling():
            _write(folder / "agent", packed_agent())
            _write(folder / "environment", exports(environment or {}, cwd).encode())
            self._write_settings()
        return self

    @classmethod
    def load(cls, folder: Path) -> CallFolder:
        """Continue the call of an earlier process. Raises OSError if there is none."""
        return cls(folder, json.loads((folder / "call.json").read_text()))

    def another(self, folder: Path) -> CallFolder:
        """Create a call for more agents in the same job, which connect to the same listener."""
        make_private(folder)
        _write(folder / "agent", packed_agent())
        settings = self._settings.copy()
        settings["id"], settings["key"] = secrets.token_hex(16), secrets.token_hex(32)
        made = CallFolder(folder, settings)
        if self._listener is not None:
            self._listener.expect(made)
        return made

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Remove the folder again if a file in it cannot be written in a block.

        Raises OSError, which says how to name another folder.
        """
        try:
            with naming(self.folder):
                yield
        except OSError:
            self.close()
            raise

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
        # Without encryption, orders with secrets go through files, which both sides must see.
        self._settings["plain"] = listener.takes_plain and self.is_here
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

    def job_that_called(self) -> str:
        """Return the id of the job in which an agent has called, empty if none has."""
        self.read_journal()
        return next((agent.job_id for agent in self.agents.values()), "")

    def read_journal(self) -> None:
        """Handle what the agents have written into the journal, because they could not send it.

        Where it cannot be read, the rest of it is lost, and nothing else: the job may have written
        anything there.
        """
        try:
            if not self._is_spoilt:
                self._read_journal()
        except FileNotFoundError:
            pass
        except (OSError, ProtocolError) as error:
            log.warning("%s/journal cannot be read to its end: %s", self.folder, error)
            self._is_spoilt = True

    def _read_journal(self) -> None:
        with open_plain(self.folder / "journal") as file:
            file.seek(self._offset)
            while data := file.read(CHUNK_BYTES):
                self._offset += len(data)
                for header, payload in self._journal.feed(data):
                    self.handle(header, payload, lambda: _FileConnection(self))

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
            self.remove()

    def remove(self) -> None:
        """Remove the folder; agents that have read it may still call."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def handle(
        self, header: Header, payload: bytes, connect: Callable[[], AgentConnection]
    ) -> AgentHandle | None:
        """Handle a frame of an agent; return the agent if it calls, for the first time or again.

        `connect` then makes its new connection. Raises ProtocolError for what no agent sends.
        """
        try:
            known = self.agents.get(header["agent"])
            agent = known or AgentHandle(header["agent"], header)
            if not agent.id.isalnum():  # it becomes part of names of files
                raise ProtocolError(f"an agent has no such id: {agent.id!r}")
            says_hello = header["type"] == "hello"
            if says_hello:
                agent.connected(header, connect())
            else:
                agent.receive(header, payload)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.warning("A job has sent what no agent sends: %r", error)
            raise ProtocolError(f"no agent sends that: {error!r}") from error
        if known is None:
            self.agents[agent.id] = agent
            self._new.put_nowait(agent)
        return agent if says_hello else None

    def _write_settings(self) -> None:
        _write(self.folder / "call.json", json.dumps(self._settings).encode())


class _FileConnection:
    """A way to an agent through the file of orders, where frames stay."""

    confirms = False
    is_private = True
    driver = "files"
    writer: asyncio.StreamWriter | None = None

    def __init__(self, call: CallFolder) -> None:
        self._call = call

    def send(self, header: Header, payload: bytes = b"") -> None:
        if "seq" in header:
            self._call.order(header, payload, header["agent"])

    def without_secrets(self, header: Header, payload: bytes) -> Frame:
        return header, payload

    async def drained(self) -> None:
        return


def _write(file: Path, data: bytes) -> None:
    """Write a file (0600) atomically."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(data)
    temporary.replace(file)
