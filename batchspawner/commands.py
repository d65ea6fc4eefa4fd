"""Describe a scheduler's command, its answer, and who reads the answer.

This module starts nothing: `batchspawner.runners` does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_SHOWN = 2000
"""Characters of a command's output that an error message quotes at most."""


@dataclass(frozen=True)
class CommandResult:
    """Hold what a command that ended has said."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    @property
    def text(self) -> str:
        """All that was printed: some schedulers put their errors on standard output."""
        return f"{self.stderr.strip()}\n{self.stdout.strip()}".strip()

    def describe(self) -> str:
        """Return the command, its exit status and its words, for an error message."""
        said = self.text or "(it printed nothing)"
        if len(said) > _SHOWN:
            said = f"{said[:_SHOWN]} …"
        return f"$ {shlex.join(self.argv)}\n{said}\n[exit {self.returncode}]"


@dataclass(frozen=True)
class Command(Generic[T]):
    """Pair one command with the function that reads its answer.

    `argv` never passes through a shell. `environment` is added to what the scheduler's tools
    get anyway. `timeout` is in seconds. `parse` raises a `SchedulerError` for an answer that
    is no answer. `input` and `environment` may hold secrets: they do not show when it is printed.
    """

    argv: tuple[str, ...]
    parse: Callable[[CommandResult], T]
    input: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
