"""Shell command as a function.

A module of its own, which loads quickly: it is what a job imports.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ...processes import run_attached

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandFailed(RuntimeError):
    """Shell command that ended with another exit status than 0; has `command` and `status`."""

    def __init__(self, command: str, status: int) -> None:
        self.command, self.status = command, status
        super().__init__(command, status)

    def __str__(self) -> str:
        return f"{self.command!r} ended with exit status {self.status}"


def shell(cmd: str | Sequence[str]) -> int:
    """Run a shell command, or a list of words, and return 0.

    Raises CommandFailed for any other exit status.
    """
    command = cmd if isinstance(cmd, str) else shlex.join(cmd)
    status = run_attached(command)
    if status:
        raise CommandFailed(command, status)
    return status
