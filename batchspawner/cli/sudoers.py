"""`batchspawner sudoers`: the rule that lets a Hub run the launcher or commands as its users."""

from __future__ import annotations

import getpass
import re
import sys
from typing import TYPE_CHECKING

from ..errors import BatchError
from .launcher_rules import tools_of

if TYPE_CHECKING:
    import argparse

LAUNCHER = "/usr/local/sbin/batchspawner-launcher"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Other characters would have to be escaped in sudoers.
_PATH = re.compile(r"/[A-Za-z0-9_./+-]+")

_FRAME = """\
# {why}
# Install it as /etc/sudoers.d/batchspawner, owned by root, mode 0440, and check it by visudo -c.
Cmnd_Alias BATCHSPAWNER = {commands}
Runas_Alias BATCHSPAWNER_USERS = %{group}, !root
Defaults!BATCHSPAWNER {defaults}
{hub} ALL=(BATCHSPAWNER_USERS) NOPASSWD: BATCHSPAWNER
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sudoers` to the command line."""
    one = commands.add_parser(
        "sudoers",
        help="print the rule by which sudo lets the Hub submit jobs as its users",
        description="Print a rule for /etc/sudoers.d: for the launcher, or, with --scheduler, for "
        "the scheduler's own commands as exec_prefix runs them.",
    )
    one.add_argument("--group", required=True, help="Unix group of those who may have servers")
    one.add_argument(
        "--hub",
        default=getpass.getuser(),
        metavar="USER",
        help="Unix account of the Hub (%(default)s)",
    )
    one.add_argument(
        "--launcher",
        default=LAUNCHER,
        metavar="FILE",
        help="where the launcher is installed (%(default)s)",
    )
    one.add_argument("--scheduler", help="allow the commands of this scheduler, such as slurm")
    one.set_defaults(run=_run)


def rule(hub: str, group: str, launcher: str, scheduler: str | None = None) -> str:
    """Return the rule. Raises BatchError for a name or path that cannot be part of it."""
    tools = tools_of(scheduler) if scheduler else [launcher]
    for text, form in ((hub, _NAME), (group, _NAME), *((tool, _PATH) for tool in tools)):
        if not form.fullmatch(text):
            raise BatchError(f"{text!r} has another form than {form.pattern}: write it by hand")
    if scheduler:
        return _FRAME.format(
            why="The Hub runs these as a user, with any arguments and any environment.",
            commands=", ".join(tools),
            group=group,
            hub=hub,
            defaults="setenv, !requiretty",
        )
    return _FRAME.format(
        why="The Hub runs this alone as a user: no arguments, none of its environment.",
        commands=f'{launcher} ""',
        group=group,
        hub=hub,
        # Requests contain scripts and variables, which must not be logged.
        defaults="env_reset, !setenv, !requiretty, !log_input, !log_output",
    )


def _run(arguments: argparse.Namespace) -> int:
    try:
        text = rule(arguments.hub, arguments.group, arguments.launcher, arguments.scheduler)
    except BatchError as error:
        print(f"batchspawner sudoers: {error}", file=sys.stderr)
        return 1
    print(text, end="")
    return 0
