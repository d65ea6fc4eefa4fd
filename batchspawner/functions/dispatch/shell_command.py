"""Run a shell command as if it were a function."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ...runners import run_attached
from ..function import slurmify

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandFailed(RuntimeError):
    """Report a shell command that ended with another exit status than 0."""

    def __init__(self, command: str, status: int) -> None:
        self.command, self.status = command, status
        super().__init__(command, status)

    def __str__(self) -> str:
        return f"{self.command!r} ended with exit status {self.status}"


@slurmify
def shell(cmd: str | Sequence[str]) -> int:
    """Run a shell command, or a list of words, where this is called; return 0.

    Raises CommandFailed for any other exit status.
    """
    command = cmd if isinstance(cmd, str) else shlex.join(cmd)
    status = run_attached(command)
    if status:
        raise CommandFailed(command, status)
    return status
