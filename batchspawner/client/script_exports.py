"""Variables set inside a job script, which may be a site's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTERPRETER = re.compile(r"#! *(?:\S*/env +(?:-\S+ +)*)?(\S+)")
_SHELL_OPTION = re.compile(r"^#(?:PBS|\$) .*-S +(\S+)", re.MULTILINE)
# What printf and the quotes around its text take for something else.
_OCTAL = {"\r": r"\015", "\\": r"\134", "'": r"\047", "%": "%%"}
_BOURNE = {"sh", "bash", "dash", "ksh", "zsh"}


def with_variables(script: str, variables: Mapping[str, str]) -> str | None:
    """Return a shell script with variables set before its first command, whatever their values.

    Returns None for a script in another language.
    """
    if not is_bourne(script):
        return None
    lines = script.splitlines(keepends=True)
    # Behind all directives: schedulers read them up to the first command.
    first = next((i for i, line in enumerate(lines) if _is_command(line)), len(lines))
    lines[first:first] = [_export(name, value) for name, value in variables.items()]
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += "\n"
    return "".join(lines)


def _export(name: str, value: str) -> str:
    if "\r" not in value:
        quoted = value.replace("'", "'\"'\"'")
        return f"export {name}='{quoted}'\n"
    # PBS refuses scripts with line ends of Windows. The mark keeps line ends at the end.
    octal = "".join(_OCTAL.get(character, character) for character in value)
    return f'{name}="$(printf \'{octal}_\')"; export {name}="${{{name}%_}}"\n'


def _is_command(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def is_bourne(script: str) -> bool:
    """Return whether a script is one for a Bourne shell."""
    shells = [match[1] for match in _SHELL_OPTION.finditer(script)]
    match = _INTERPRETER.match(script)
    if match:
        shells.append(match[1])
    return all(shell.rpartition("/")[2] in _BOURNE for shell in shells)
