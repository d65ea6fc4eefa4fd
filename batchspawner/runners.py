"""How commands are run: a runner says as which user, and on which machine.

That is this user, another one through a prefix such as sudo, or another machine over ssh. Runners
are values: two equal ones run commands in the same way.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from .errors import CommandNotFound, ParseError, SchedulerUnavailable
from .processes import IDENTITY, run_command, tool_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .commands import Command, CommandResult
    from .schedulers.base import Scheduler

T = TypeVar("T")

_MAX_CHARS_IN_LOOP = 1 << 16
"""How much output is parsed in the thread of the event loop; more goes to another thread."""

_NO_CONNECTION = re.compile(
    r"^(ssh: |Connection (closed|reset)|kex_exchange|Control socket|mux_client|client_loop"
    r"|Timeout, server|Permission denied|Host key verification failed)",
    re.MULTILINE,
)
"""What ssh itself prints if the command may not have run; then its exit status is 255."""

_NOT_IN_SECURE_PATH = re.compile(r"^sudo: (?P<name>\S+): command not found$", re.MULTILINE)
"""What sudo prints for a command outside its own path: https://www.sudo.ws/docs/man/sudoers.man"""

_BEGIN = "batchspawner-answer"
"""Line before the answer of a command on another machine."""


def own_name() -> str:
    """Return the name of the user of this process, empty if the system knows none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


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
        result = await run_command((*self.prefix, *argv), input, env, timeout, folder)
        _check_found(result)
        return result


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
        result = await run_command((*self.prefix, words), input, env, timeout)
        _, marked, answer = result.stdout.partition(f"\n{_BEGIN}\n")
        if self.marks and marked:
            result = replace(result, stdout=answer)
        if result.returncode == 255 and _NO_CONNECTION.search(result.stderr):
            raise SchedulerUnavailable("ssh has no connection to the other machine.", result)
        _check_found(result)
        return result


_noisy: set[SshRunner] = set()
"""Runners of queries whose login shell prints something before the answers."""


async def query(scheduler: Scheduler, command: Command[T], runner: Runner) -> T:
    """Run a command that changes nothing, like `ask`; over ssh, behind any login shell.

    An answer that cannot be read is asked for again, with a mark before it: the login shell may
    print something first. Commands have no mark before that is seen, as a forced command of the
    other machine may accept them only as they are. Raises SchedulerError.
    """
    if not isinstance(runner, SshRunner):
        return await ask(scheduler, command, runner)
    marked = replace(runner, marks=True)
    if runner in _noisy:
        return await ask(scheduler, command, marked)
    try:
        return await ask(scheduler, command, runner)
    except ParseError:
        value = await ask(scheduler, command, marked)
        _noisy.add(runner)
        return value


def _check_found(result: CommandResult) -> None:
    """Raise CommandNotFound if sudo could not find the command that it was to run."""
    found = None if result.ok else _NOT_IN_SECURE_PATH.search(result.stderr)
    if found:
        raise CommandNotFound(
            f"sudo does not find {found['name']}: an administrator has to add its folder to "
            "secure_path in sudoers.",
            result,
        )


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
