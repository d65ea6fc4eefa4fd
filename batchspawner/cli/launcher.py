"""The launcher and its rules, for root to install: ``batchspawner launcher``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .. import launcher
from ..errors import BatchError
from .launcher_rules import rules_for


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
    one.set_defaults(run=_program)

    one = verbs.add_parser("rules", help=f"print {launcher.CONFIGURATION} for a scheduler")
    one.add_argument("--group", required=True, help="Unix group of those who may have servers")
    one.add_argument("--scheduler", required=True, help="such as slurm")
    one.set_defaults(run=_rules)


def _program(_: argparse.Namespace) -> int:
    print(Path(launcher.__file__).read_text(encoding="utf-8"), end="")
    return 0


def _rules(arguments: RulesArguments) -> int:
    try:
        rules = rules_for(arguments.scheduler, arguments.group)
    except BatchError as error:
        print(f"batchspawner launcher: {error}", file=sys.stderr)
        return 1
    print(json.dumps(rules, indent=2))
    return 0
