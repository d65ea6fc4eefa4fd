"""Variables set inside a job script, which may be a site's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTERPRETER = re.compile(r"#! *(?:\S*/env +(?:-\S+ +)*)?(\S+)")
_SHELL_OPTION = re.compile(r"^#(?:PBS|\$) .*-S +(\S+)", re.MULTILINE)
_BOURNE = {"sh", "bash", "dash", "ksh", "zsh"}


def with_variables(script: str, variables: Mapping[str, str]) -> str | None:
    """Return a shell script with variables set before its first command.

    Returns None for a script in another language. The values contain no quotes.
    """
    if not _is_bourne(script):
        return None
    lines = script.splitlines(keepends=True)
    # Behind all directives: schedulers read them up to the first command.
    first = next((i for i, line in enumerate(lines) if _is_command(line)), len(lines))
    lines[first:first] = [f"export {name}='{value}'\n" for name, value in variables.items()]
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += "\n"
    return "".join(lines)


def _is_command(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_bourne(script: str) -> bool:
    shells = [match[1] for match in _SHELL_OPTION.finditer(script)]
    match = _INTERPRETER.match(script)
    if match:
        shells.append(match[1])
    return all(shell.rpartition("/")[2] in _BOURNE for shell in shells)
