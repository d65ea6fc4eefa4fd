"""Options on the line of ``%%execute``: our switches, and what goes to the submit command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import OptionsError

ALIASES = {"workloadmanager": "wlm"}
FLAGS = {"bg", "check", "python"}
LISTS = {"in", "out"}
VARIABLES = {"amgr", "jobid", "pid"}
ONLY_SSH = {"host", "pid"}


@dataclass(frozen=True)
class CellOptions:
    """Options of one cell; None or empty if the line does not say."""

    wlm: str | None = None
    shell: str | None = None
    host: str | None = None
    amgr: str = ""
    jobid: str = ""
    pid: str = ""
    bg: bool = False
    check: bool = False
    python: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def completed(self, wlm: str, shell: str | None, defaults: CellOptions) -> CellOptions:
        """Return these options with the defaults of a profile for those that are not set."""
        missing = {
            one.name: getattr(defaults, one.name)
            for one in fields(self)
            if getattr(self, one.name) in (None, "", False, ())
        }
        # A profile's shell is not for cells in Python.
        shell = self.shell or (None if self.python else defaults.shell or shell)
        # With most submit commands, the last word counts.
        others = (*defaults.others, *self.others)
        return replace(self, **{**missing, "wlm": wlm, "shell": shell, "others": others})


def parse_line(line: str, wlm: str | None = None) -> CellOptions:
    """Parse a line, split as a shell does. Raises OptionsError.

    `wlm` is the scheduler that is meant if the line does not say.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise OptionsError("%%execute", line, f"a quote is not closed ({error})") from error
    return parse(words, wlm)


def parse(words: list[str], wlm: str | None = None) -> CellOptions:
    """Parse the words of a line; those that are not ours go to the submit command, in order."""
    found: dict[str, Any] = {}
    others: list[str] = []
    wlm = _chosen(words, wlm)
    python = "--python" in words
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        name, has_value, value = word[2:].partition("=")
        name = ALIASES.get(name, name)
        if not word.startswith("--") or not _is_ours(name, wlm, python):
            others.append(word)
        elif name in FLAGS:
            found[name] = _flag(name, has_value, value)
        else:
            value = value if has_value else _next(name, rest)
            found[_field(name)] = _checked(name, value)
    return CellOptions(**found, others=tuple(others))


def _chosen(words: list[str], wlm: str | None) -> str | None:
    """Return the scheduler that a line names: some switches are ours for some of them only."""
    for number, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if word == "--":
            break
        if name in ("--wlm", "--workloadmanager"):
            wlm = value if has_value else "".join(words[number + 1 : number + 2])
    return wlm


def _is_ours(name: str, wlm: str | None, python: bool) -> bool:
    if name in ONLY_SSH:
        return wlm == "ssh" or (name == "pid" and wlm == "")
    if name in LISTS:
        return python
    return name in FLAGS or name in {"wlm", "shell", "amgr", "jobid"}


def _field(name: str) -> str:
    return {"in": "inputs", "out": "outputs"}.get(name, name)


def _flag(name: str, has_value: str, value: str) -> bool:
    if has_value:
        raise OptionsError(f"--{name}", value, "it takes no value")
    return True


def _next(name: str, rest: list[str]) -> str:
    if not rest or rest[0].startswith("--"):
        raise OptionsError(f"--{name}", "", f"it needs a value: --{name}=VALUE")
    return rest.pop(0)


def _checked(name: str, value: str) -> str | tuple[str, ...]:
    if name in LISTS:
        names = tuple(one.strip() for one in value.split(",") if one.strip())
        for one in names:
            _variable(name, one)
        return names
    if name in VARIABLES:
        return _variable(name, value)
    if name == "host" and (not value or value.startswith("-")):
        raise OptionsError("--host", value, "it is the name of a machine")
    return value


def _variable(name: str, value: str) -> str:
    if not value.isidentifier():
        raise OptionsError(f"--{name}", value, "it is the name of a variable")
    return value
