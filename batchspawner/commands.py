"""Commands of schedulers, and their results.

This module starts nothing: `batchspawner.runners` does. A scheduler builds a `Command`, a runner
runs its `argv`, and `parse` turns the `CommandResult` into a value::

    command = Command(("squeue", "--version"), lambda result: result.stdout.strip())
    version = await ask(scheduler, command, runner)
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_MAX_QUOTED_CHARS = 2000
"""How much of a command's output an error message quotes."""


@dataclass(frozen=True)
class CommandResult:
    """What a command that has ended printed, and its exit status.

    `returncode` is negative if a signal ended the command: minus its number. 124 stands for a
    command that did not end in time, 125 for one that printed too much, and 127 for one that could
    not be started; an exception that carries such a result has the command's own `argv`.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.returncode == 0

    @property
    def text(self) -> str:
        """All that was printed: some schedulers write their errors to standard output."""
        return f"{self.stderr.strip()}\n{self.stdout.strip()}".strip()

    def describe(self) -> str:
        """Return the command, what it printed and its exit status, for an error message."""
        text = self.text or "(it printed nothing)"
        if len(text) > _MAX_QUOTED_CHARS:
            text = f"{text[:_MAX_QUOTED_CHARS]} …"
        return f"$ {shlex.join(self.argv)}\n{text}\n[exit {self.returncode}]"


@dataclass(frozen=True)
class Command(Generic[T]):
    """One command with the function that reads its result; `T` is the type of the value.

    `argv` never passes through a shell. `parse` raises a `SchedulerError` for a result that has no
    value, such as the error of a scheduler that is down. `input` is the standard input.
    `environment` is added to what the scheduler's tools get anyway. `timeout` is in seconds.
    `jobs` are the ids that it asks about, if a query consists of several commands.
    `input` and `environment` may hold secrets, and are not shown when a command is printed.
    """

    argv: tuple[str, ...]
    parse: Callable[[CommandResult], T]
    input: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    jobs: tuple[str, ...] = ()
