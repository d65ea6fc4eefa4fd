"""The launcher and its rules, for root to install: ``batchspawner launcher``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from .. import launcher
from ..errors import BatchError
from .launcher_rules import rules_for

# Other characters would have to be escaped in a program or a shell; no `..`, to see whose it is.
_FILE = re.compile(r"(/(?!\.\.?(?:/|$))[A-Za-z0-9_.+-]+)+")


class ProgramArguments(argparse.Namespace):
    """The command line of `batchspawner launcher program`."""

    rules: str


class RulesArguments(argparse.Namespace):
    """The command line of `batchspawner launcher rules`."""

    group: str
    scheduler: str


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `launcher` and its verbs to the command line."""
    top = commands.add_parser(
        "launcher", help="print the launcher that root installs, and its rules"
    )
    verbs = top.add_subparsers(metavar="VERB", required=True)

    one = verbs.add_parser("program", help="print the program itself, one file")
    one.add_argument(
        "--rules",
        default=launcher.CONFIGURATION,
        metavar="FILE",
        help="file with its rules, another one for each launcher of a host (%(default)s)",
    )
    one.set_defaults(run=_program)

    one = verbs.add_parser("rules", help="print the file with its rules for a scheduler")
    one.add_argument("--group", required=True, help="Unix group of those who may have servers")
    one.add_argument("--scheduler", required=True, help="such as slurm")
    one.set_defaults(run=_rules)


def _program(arguments: ProgramArguments) -> int:
    if not _FILE.fullmatch(arguments.rules):
        print(
            f"batchspawner launcher: {arguments.rules!r} has another form than {_FILE.pattern}",
            file=sys.stderr,
        )
        return 1
    text = Path(launcher.__file__).read_text(encoding="utf-8")
    # Not an argument: sudo allows the program none.
    print(text.replace(f'"{launcher.CONFIGURATION}"', f'"{arguments.rules}"'), end="")
    return 0


def _rules(arguments: RulesArguments) -> int:
    try:
        rules = rules_for(arguments.scheduler, arguments.group)
    except BatchError as error:
        print(f"batchspawner launcher: {error}", file=sys.stderr)
        return 1
    print(json.dumps(rules, indent=2))
    return 0
