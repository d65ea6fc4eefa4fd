"""The command line of `batchspawner`: every module here adds its subcommand."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .._version import __version__
from . import check, cluster, connect, demo, jobs, kernel, launcher, sudoers, templates

if TYPE_CHECKING:
    from collections.abc import Callable


_INTERRUPTED = 130
"""Exit status of a command that was ended by Ctrl-C, as shells have it."""


class Arguments(argparse.Namespace):
    """A command line: `run` is the function of its subcommand, which returns an exit status."""

    run: Callable[[argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    top = argparse.ArgumentParser(
        prog="batchspawner", description="Run Jupyter on a batch cluster."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for add_to in (
        demo.add_to,
        templates.add_to,
        check.add_to,
        launcher.add_to,
        sudoers.add_to,
        jobs.add_to,
        kernel.add_to,
        cluster.add_to,
        connect.add_to,
    ):
        add_to(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv, namespace=Arguments())
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
