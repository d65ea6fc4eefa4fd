"""Terminal sessions in tests/transcripts: commands of real schedulers, with what they printed.

# recorded from slurm-wlm 22.05.8
$ squeue -h -j 1
...standard output...
[stderr]
...standard error...
[exit 1]
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from batchspawner.commands import CommandResult

FOLDER = Path(__file__).parent / "transcripts"

_SESSION = re.compile(
    r"(?:#[^\n]*\n)*\$ (?P<command>[^\n]*)\n(?P<stdout>.*?)"
    r"(?:^\[stderr\]\n(?P<stderr>.*?))?^\[exit (?P<code>-?\d+)\]\n\Z",
    re.DOTALL | re.MULTILINE,
)


def recorded(scheduler: str, name: str) -> CommandResult:
    """Return the result that a transcript shows."""
    file = FOLDER / scheduler / f"{name}.txt"
    match = _SESSION.match(file.read_text(encoding="utf-8"))
    assert match, f"{file} has not the form of a transcript"
    argv = tuple(shlex.split(match["command"]))
    return CommandResult(argv, int(match["code"]), match["stdout"], match["stderr"] or "")


def answer(call, scheduler: str, name: str):
    """Check that a call sends the recorded command, and return what it reads from the answer."""
    result = recorded(scheduler, name)
    assert shown(call.argv) == result.argv
    return call.parse(result)


def shown(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command as a transcript shows it, without shell scripts of several lines."""
    return tuple("..." if "\n" in word else word for word in argv)
