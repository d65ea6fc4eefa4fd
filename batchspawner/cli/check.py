"""What is wrong with a site, and how to fix it: ``batchspawner check``."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ..checking.findings import Finding, as_json, as_text, failed, summary
from ..checking.kernel_check import check_kernel
from ..checking.site_check import Request, check_site

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


class Arguments(argparse.Namespace):
    """The command line of `batchspawner check`."""

    config: Path
    user: str
    queue_timeout_s: float
    profile: str
    options: list[tuple[str, str]]
    kernel: str
    no_job: bool
    json: bool


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser of `batchspawner`."""
    parser = commands.add_parser(
        "check",
        help="find out what is wrong with a site, and which line of its configuration fixes it",
        description="Load the Hub's configuration, submit a small test job as a user, and report "
        "for each step whether it works. Run it on the Hub's machine as the user that runs the "
        "Hub; the Hub may run at the same time.",
    )
    parser.add_argument(
        "-f",
        "--config",
        type=Path,
        default=Path("jupyterhub_config.py"),
        help="the Hub's configuration (default: jupyterhub_config.py)",
    )
    parser.add_argument(
        "-u",
        "--user",
        default=getpass.getuser(),
        help="a user of the cluster, who owns the test job (default: you)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=120.0,
        dest="queue_timeout_s",
        metavar="SECONDS",
        help="how long the job may wait in the queue (default: 120)",
    )
    _add_choices(parser)
    parser.add_argument("--no-job", action="store_true", help="do not submit a job")
    parser.add_argument("--json", action="store_true", help="print a JSON document")
    parser.set_defaults(run=run)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is checked."""
    parser.add_argument(
        "--profile",
        metavar="KEY",
        default="",
        help="check only this profile (default: all that are open to the user)",
    )
    parser.add_argument(
        "--option",
        action="append",
        type=_option,
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="what the user would choose in the form; may be given several times",
    )
    parser.add_argument(
        "--kernel",
        metavar="NAME",
        default="",
        help="check one of your kernels that run in jobs instead; this needs no Hub",
    )


def _option(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def run(arguments: Arguments) -> int:
    """Run all checks; the exit status is 1 if something is wrong."""
    # Log lines of the Hub's own classes would appear between the findings.
    logging.disable(logging.WARNING)
    findings = asyncio.run(_check(arguments))
    if arguments.json:
        print(as_json(findings))
    else:
        print(f"\n{summary(findings)}")
    return 1 if failed(findings) else 0


async def _check(arguments: Arguments) -> list[Finding]:
    if arguments.kernel:
        source = check_kernel(arguments.kernel, arguments.queue_timeout_s)
    else:
        request = Request(
            arguments.config,
            arguments.user,
            arguments.queue_timeout_s,
            job=not arguments.no_job,
            profile=arguments.profile,
            options=dict(arguments.options),
        )
        source = check_site(request)
    findings = []
    async for finding in source:
        if not arguments.json:
            print(as_text(finding), flush=True)
        findings.append(finding)
    return findings
