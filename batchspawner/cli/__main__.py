"""Read the command line of `batchspawner` and call what it asks for."""

from __future__ import annotations

import argparse
import sys

from .._version import __version__
from . import check, cluster, connect, demo, jobs, kernel, launcher, sudoers, templates


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    top = argparse.ArgumentParser(
        prog="batchspawner", description="Run Jupyter on a batch cluster."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in (
        demo,
        templates,
        check,
        launcher,
        sudoers,
        jobs,
        kernel,
        cluster,
        connect,
    ):
        command.add_to(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    status: int = arguments.run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
