"""How processes of the library are started, with which environment, and ended.

Only this module and `batchspawner.magics.backends.process` start processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING

from .commands import CommandResult
from .concurrency import within
from .errors import CommandNotFound, SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""How much a command may print on each of its two streams."""

_KILL_TIMEOUT_S = 2.0
"""How long a killed command may take to end before we stop waiting for it."""

_VERSION_TIMEOUT_S = 5.0

_ALWAYS = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "KRB5CCNAME")
"""Variables of our own environment that any command may need."""

IDENTITY = ("HOME", "USER", "LOGNAME", "XDG_STATE_HOME")
"""Variables of this user and their folders: for commands that run as this user only."""


async def begin_dialogue(
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a program of our own with pipes for input and output, in a session of its own.

    `environment` is added to ours, and it has these further open `descriptors`. Raises
    CommandNotFound.
    """
    with starting(argv):
        return await _started(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=tuple(descriptors),
                limit=1 << 20,
            )
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
    result = await run_command(("/bin/sh", "-c", command), input, env, timeout)
    return replace(result, argv=(command,))


async def begin(
    argv: Sequence[str], *, environment: Mapping[str, str], terminal: bool = False
) -> asyncio.subprocess.Process:
    """Start a command that keeps running, with a pipe for its standard error.

    With `terminal` it may ask questions on the terminal. Raises CommandNotFound.
    """
    with starting(argv):
        return await _started(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=not terminal,
            )
        )


def run_attached(command: str) -> int:
    """Run a user's shell command with our own input and output; return its exit status."""
    return subprocess.call(command, shell=True)  # noqa: S602  (a shell is what was asked for)


@cache
def printed_version(command: str) -> str:
    """Return what a command prints for ``--version``, empty if it does not end in time."""
    try:
        done = subprocess.run(
            (command, "--version"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


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


async def run_command(
    argv: tuple[str, ...],
    text: str,
    environment: Mapping[str, str],
    timeout: float | None,
    folder: str | None = None,
) -> CommandResult:
    """Run a command to its end, with a text as its input; return what it printed.

    `environment` is its whole environment, `timeout` is in seconds, None for no limit, and `folder`
    is where it runs. Raises CommandNotFound, or SchedulerUnavailable if it did not end in time or
    printed more than MAX_OUTPUT_BYTES.
    """
    with starting(argv):
        # A session of its own, so that a timeout can end all that the command has started.
        process = await _started(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        )
    try:
        stdout, stderr = await within(timeout, _communicate(process, text.encode()))
    except asyncio.TimeoutError as error:
        await end_process(process)
        result = CommandResult(argv, 124, "", f"no answer after {timeout:g} s, ended")
        raise SchedulerUnavailable(f"{argv[0]} did not answer.", result) from error
    except _TooMuch as error:
        await end_process(process)
        result = CommandResult(argv, 125, "", f"printed more than {MAX_OUTPUT_BYTES} bytes")
        raise SchedulerUnavailable(f"{argv[0]} printed too much to be read.", result) from error
    except BaseException:
        # Cancelled: nobody waits for the command any more.
        await end_process(process)
        raise
    code = process.returncode if process.returncode is not None else 1
    return CommandResult(argv, code, stdout, stderr)


async def _started(
    start: Coroutine[object, object, asyncio.subprocess.Process],
) -> asyncio.subprocess.Process:
    """Return the process that asyncio starts; a cancellation ends this in any case.

    JupyterHub ends by cancelling all tasks, once, and waits for them. Where that meets a process
    whose pipes are not connected yet, asyncio kills it, but never hears that it has ended.
    """
    task = asyncio.ensure_future(start)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=_KILL_TIMEOUT_S)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await end_process(task.result())
        raise
    return task.result()


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


async def end_process(process: asyncio.subprocess.Process) -> None:
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
