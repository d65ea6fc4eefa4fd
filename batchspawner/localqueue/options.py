"""Options of a job: on the command line, and in ``#QUEUE`` lines of its script."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from dataclasses import dataclass
from typing import NoReturn

from ..errors import OptionsError
from ..units import seconds
from .folder import QueueError

_NAMES = ("name", "comment", "slots", "walltime", "output", "chdir")
_DIRECTIVE = re.compile(r"#QUEUE(?:\s+(.*))?")
_MAX_WALLTIME_S = 10 * 365 * 86400


@dataclass(frozen=True)
class JobOptions:
    """What a job requests; `walltime` is in seconds, 0 for no limit, and `output` may be empty."""

    name: str
    comment: str
    slots: int
    walltime: int
    output: str
    directory: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise QueueError(message)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a job to a parser."""
    none = argparse.SUPPRESS
    parser.add_argument("--name", default=none, help="name of the job")
    parser.add_argument("--comment", default=none, help="a word by which `query` finds the job")
    parser.add_argument("--slots", default=none, help="how many slots it takes (1)")
    parser.add_argument(
        "--walltime",
        default=none,
        help="how long it may run: minutes, MM:SS, HH:MM:SS, D-HH or D-HH:MM:SS (no limit)",
    )
    parser.add_argument(
        "--output",
        default=none,
        help="file for all that it prints, %%j in it is the job's id (in the queue's folder)",
    )
    parser.add_argument("--chdir", default=none, help="folder in which it runs (this one)")


def job_options(script: str, command_line: argparse.Namespace) -> JobOptions:
    """Return what a job requests; the command line overrides the script.

    Raises QueueError for a script, an option or a value that is not valid.
    """
    if not re.match(r"#!.*\S", script):
        raise QueueError("the script must begin with #! and an interpreter, such as #!/bin/bash")
    chosen = {**_directives(script), **_given(command_line)}
    directory = os.path.abspath(chosen.get("chdir") or os.getcwd())  # noqa: PTH100, PTH109
    output = chosen.get("output", "")
    return JobOptions(
        name=chosen.get("name", "job"),
        comment=chosen.get("comment", ""),
        slots=_slots(chosen.get("slots", "1")),
        walltime=_walltime(chosen.get("walltime", "0")),
        output=os.path.join(directory, output) if output else "",  # noqa: PTH118
        directory=directory,
    )


def _given(arguments: argparse.Namespace) -> dict[str, str]:
    return {name: str(value) for name, value in vars(arguments).items() if name in _NAMES}


def _directives(script: str) -> dict[str, str]:
    parser = _Parser(add_help=False, allow_abbrev=False)
    add_options(parser)
    found: dict[str, str] = {}
    for number, line in enumerate(script.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            break
        if match := _DIRECTIVE.fullmatch(line.rstrip()):
            try:
                found.update(_given(parser.parse_args(shlex.split(match[1] or ""))))
            except (QueueError, ValueError) as error:
                raise QueueError(f"line {number} of the script, {line!r}: {error}") from error
    return found


def _walltime(text: str) -> int:
    try:
        walltime = seconds("--walltime", text)
    except OptionsError as error:
        raise QueueError(str(error)) from error
    if walltime > _MAX_WALLTIME_S:
        raise QueueError(f"--walltime: {text!r} is not allowed; leave it out for a job without end")
    return walltime


def _slots(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise QueueError(f"--slots: {text!r} is not allowed; write a whole number from 1")
    return int(text)
