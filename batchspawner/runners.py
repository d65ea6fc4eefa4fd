"""How commands are run: a runner says as which user, and on which machine.

That is this user, another one through a prefix such as sudo, or another machine over ssh. Runners
are values: two equal ones run commands in the same way. Only this module and
`batchspawner.magics.backends.process` start processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol, TypeVar

from .commands import CommandResult
from .concurrency import within
from .errors import CommandNotFound, SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .commands import Command
    from .schedulers.base import Scheduler

T = TypeVar("T")

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""How much a command may print on each of its two streams."""

_MAX_CHARS_IN_LOOP = 1 << 16
"""How much output is parsed in the thread of the event loop; more goes to another thread."""

_NO_CONNECTION = re.compile(
    r"^(ssh: |Connection (closed|reset)|kex_exchange|Control socket|mux_client|client_loop"
    r"|Timeout, server|Permission denied|Host key verification failed)",
    re.MULTILINE,
)
"""What ssh itself prints if the command may not have run; then its exit status is 255."""

_BEGIN = "batchspawner-answer"
"""Line before the answer of a command on another machine."""

_KILL_TIMEOUT_S = 2.0
"""How long a killed command may take to end before we stop waiting for it."""

_ALWAYS = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "KRB5CCNAME")
"""Variables of our own environment that any command may need."""

IDENTITY = ("HOME", "USER", "LOGNAME")
"""Variables that name this user: for commands that run as this user only."""


class Runner(Protocol):
    """A way to run commands, on some machine and as some user."""

    @property
    def is_this_user(self) -> bool:
        """Whether commands run as the user of this process, on this machine."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",  # noqa: A002  (the name that subprocess uses)
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> CommandResult:
        """Run a command to its end, and return what it printed and its exit status.

        `environment` is its whole environment, `timeout` is in seconds. Raises CommandNotFound if
        there is no such command, SchedulerUnavailable if it did not end in time or printed more
        than MAX_OUTPUT_BYTES.
        """


@dataclass(frozen=True)
class LocalRunner:
    """Commands on this machine, as this user or through a `prefix` such as ``sudo -u ada``."""

    prefix: tuple[str, ...] = ()

    @property
    def is_this_user(self) -> bool:
        return not self.prefix

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",  # noqa: A002
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> CommandResult:
        env = tool_environment() if environment is None else environment
        # Another user may not be allowed into our folder.
        folder = None if self.is_this_user else "/"
        return await _run((*self.prefix, *argv), input, env, timeout, folder)


@dataclass(frozen=True)
class SshRunner:
    """Commands on another machine: `prefix` is the ssh command line up to the host.

    `inner` is put before the command on that machine. The environment goes to ssh itself: which
    variables reach the other machine is configured by SendEnv and AcceptEnv. If it `marks` the
    answers, what the login shell prints before them is left out; a forced command on the other
    machine sees a longer command then.
    """

    prefix: tuple[str, ...]
    inner: tuple[str, ...] = ()
    marks: bool = False

    is_this_user = False

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",  # noqa: A002
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> CommandResult:
        env = {**tool_environment(("SSH_AUTH_SOCK",)), **(environment or {})}
        # sshd passes the words to a shell, so they are quoted for one.
        words = shlex.join((*self.inner, *argv))
        if self.marks:
            words = f"echo; echo {_BEGIN}; {words}"
        result = await _run((*self.prefix, words), input, env, timeout)
        _, marked, answer = result.stdout.partition(f"\n{_BEGIN}\n")
        if self.marks and marked:
            result = replace(result, stdout=answer)
        if result.returncode == 255 and _NO_CONNECTION.search(result.stderr):
            raise SchedulerUnavailable("ssh has no connection to the other machine.", result)
        return result


async def ask(scheduler: Scheduler, command: Command[T], runner: Runner) -> T:
    """Run a scheduler's command in an environment made for it, and return what `parse` reads.

    Raises SchedulerError.
    """
    names = (*scheduler.tool_variables, *(IDENTITY if runner.is_this_user else ()))
    environment = tool_environment(names, command.environment)
    result = await runner.run(
        command.argv, input=command.input, environment=environment, timeout=command.timeout
    )
    if len(result.stdout) > _MAX_CHARS_IN_LOOP:
        # The event loop gets its turn while a listing of thousands of jobs is read.
        return await asyncio.get_running_loop().run_in_executor(None, command.parse, result)
    return command.parse(result)


async def begin_dialogue(
    argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a program of our own with pipes for input and output, in a session of its own.

    `environment` is added to ours. Raises CommandNotFound.
    """
    with starting(argv):
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            limit=1 << 20,
        )


async def run_shell(
    command: str,
    *,
    input: str = "",  # noqa: A002
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> CommandResult:
    """Run an administrator's own command string through the shell.

    `timeout` is in seconds, None is no limit. Raises SchedulerUnavailable.
    """
    env = tool_environment() if environment is None else environment
    result = await _run(("/bin/sh", "-c", command), input, env, timeout)
    return replace(result, argv=(command,))


async def begin(
    argv: Sequence[str], *, environment: Mapping[str, str], terminal: bool = False
) -> asyncio.subprocess.Process:
    """Start a command that keeps running, with a pipe for its standard error.

    With `terminal` it may ask questions on the terminal. Raises CommandNotFound.
    """
    with starting(argv):
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=not terminal,
        )


def run_attached(command: str) -> int:
    """Run a user's shell command with our own input and output; return its exit status."""
    return subprocess.call(command, shell=True)  # noqa: S602  (a shell is what was asked for)


def tool_environment(
    names: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return an environment for a scheduler's command: never our own as a whole.

    It has our variables with these `names`, besides the few that any command needs; a name that
    ends in ``*`` stands for all that start so. `extra` is added. The folder of this Python is
    last on PATH, because the commands of this library are there.
    """
    wanted = (*_ALWAYS, *names)
    plain = {name for name in wanted if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in wanted if name.endswith("*"))
    env = {
        name: value
        for name, value in os.environ.items()
        if name in plain or (prefixes and name.startswith(prefixes))
    }
    env.update(extra or {})
    ours = str(PurePath(sys.executable).parent)
    path = env.get("PATH", os.defpath)
    if ours not in path.split(os.pathsep):
        path = f"{path}{os.pathsep}{ours}"
    return {**env, "PATH": path}


async def _run(
    argv: tuple[str, ...],
    text: str,
    environment: Mapping[str, str],
    timeout: float | None,
    folder: str | None = None,
) -> CommandResult:
    with starting(argv):
        # A session of its own, so that a timeout can end all that the command has started.
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        stdout, stderr = await within(timeout, _communicate(process, text.encode()))
    except asyncio.TimeoutError as error:
        await _end(process)
        result = CommandResult(argv, 124, "", f"no answer after {timeout:g} s, ended")
        raise SchedulerUnavailable(f"{argv[0]} did not answer.", result) from error
    except _TooMuch as error:
        await _end(process)
        result = CommandResult(argv, 125, "", f"printed more than {MAX_OUTPUT_BYTES} bytes")
        raise SchedulerUnavailable(f"{argv[0]} printed too much to be read.", result) from error
    except BaseException:
        # Cancelled: nobody waits for the command any more.
        await _end(process)
        raise
    code = process.returncode if process.returncode is not None else 1
    return CommandResult(argv, code, stdout, stderr)


@contextlib.contextmanager
def starting(argv: Sequence[str]) -> Iterator[None]:
    """Return a context that raises CommandNotFound if the command started in it is not there."""
    try:
        yield
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        result = CommandResult(tuple(argv), 127, "", f"{argv[0]}: {error.strerror}")
        raise CommandNotFound(
            f"{argv[0]} cannot be run on this machine. Install it, or put its folder on PATH.",
            result,
        ) from error


class _TooMuch(Exception):
    """A command printed more than MAX_OUTPUT_BYTES."""


async def _communicate(process: asyncio.subprocess.Process, data: bytes) -> tuple[str, str]:
    assert process.stdout is not None  # noqa: S101  (asked for above)
    assert process.stderr is not None  # noqa: S101
    _, out, err, _ = await asyncio.gather(
        _feed(process.stdin, data), _read(process.stdout), _read(process.stderr), process.wait()
    )
    return out.decode(errors="replace"), err.decode(errors="replace")


async def _feed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    if stream is None:
        return
    # A command may end without reading its input; its output says why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.close()
        await stream.wait_closed()


async def _read(stream: asyncio.StreamReader) -> bytes:
    chunks, size = [], 0
    while chunk := await stream.read(1 << 16):
        size += len(chunk)
        if size > MAX_OUTPUT_BYTES:
            raise _TooMuch
        chunks.append(chunk)
    return b"".join(chunks)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a command with all that it has started."""
    # Through sudo it is another user's: then it ends by itself, and we only stop reading.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    waiting = asyncio.ensure_future(process.wait())
    done, _ = await asyncio.wait([waiting], timeout=_KILL_TIMEOUT_S)
    if not done:
        waiting.cancel()
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
