"""`batchspawner sudoers`: the rule that lets a Hub run the launcher or commands as its users."""

from __future__ import annotations

import getpass
import hashlib
import re
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..errors import BatchError
from .launcher_rules import tools_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

LAUNCHER = "/usr/local/sbin/batchspawner-launcher"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Other characters would have to be escaped in sudoers.
_PATH = re.compile(r"/[A-Za-z0-9_./+-]+")

_USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FRAME = """\
# {why}
# Install it as a file of its own in /etc/sudoers.d, owned by root, mode 0440, and run visudo -c.
Cmnd_Alias {alias} = {commands}
Runas_Alias {alias}_USERS = %{group}, !root
Defaults!{alias} {defaults}
{hub} ALL=({alias}_USERS) NOPASSWD: {alias}
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
    # Aliases of all files share one space of names: visudo refuses a second one of the same name.
    digest = hashlib.sha256(f"{scheduler} {hub} {group} {tools}".encode()).hexdigest()[:6]
    alias = re.sub("[^A-Z0-9]+", "_", f"BATCHSPAWNER {hub} {digest}".upper())
    if scheduler:
        return _FRAME.format(
            why="The Hub runs these as a user, with any arguments and any environment.",
            alias=alias,
            commands=", ".join(tools),
            group=group,
            hub=hub,
            defaults=f"setenv, !requiretty{_search_path(hub, tools)}",
        )
    return _FRAME.format(
        why="The Hub runs this alone as a user: no arguments, none of its environment.",
        alias=alias,
        commands=f'{launcher} ""',
        group=group,
        hub=hub,
        # Requests contain scripts and variables, which must not be logged.
        defaults="env_reset, !setenv, !requiretty, !log_input, !log_output",
    )


def _search_path(hub: str, tools: Sequence[str]) -> str:
    """Return the line by which sudo finds the tools for the Hub, empty if it does anyway."""
    usual = _USUAL_PATH.split(":")
    others = sorted({str(PurePath(tool).parent) for tool in tools} - set(usual))
    return f"\nDefaults:{hub} secure_path={':'.join([*others, *usual])}" if others else ""


def _run(arguments: argparse.Namespace) -> int:
    try:
        text = rule(arguments.hub, arguments.group, arguments.launcher, arguments.scheduler)
    except BatchError as error:
        print(f"batchspawner sudoers: {error}", file=sys.stderr)
        return 1
    print(text, end="")
    return 0
