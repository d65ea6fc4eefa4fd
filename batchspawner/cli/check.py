"""Find out what is wrong with a site: ``batchspawner check``."""

from __future__ import annotations

import asyncio
import getpass
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checking.checks import check_site
from ..checking.findings import Finding, as_json, as_text, failed, summary
from ..checking.kernel import check_kernel

if TYPE_CHECKING:
    import argparse


def add_to(commands: Any) -> None:
    """Add the subcommand to the parser of `batchspawner`."""
    parser = commands.add_parser(
        "check",
        help="find out on the Hub's machine what is wrong with a site, and which line mends it",
        description="Load the Hub's configuration, submit a tiny job as a user, and tell of each "
        "step whether it works. Run it as the user that runs the Hub; the Hub may run meanwhile.",
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
        help="a user of the cluster, who owns the tiny job (default: you)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=120.0,
        help="seconds that the job may wait in the queue (default: 120)",
    )
    parser.add_argument(
        "--kernel",
        metavar="NAME",
        default="",
        help="check a kernel of yours that runs in jobs instead; this needs no Hub",
    )
    parser.add_argument("--no-job", action="store_true", help="submit nothing")
    parser.add_argument("--json", action="store_true", help="print a JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run all checks; the exit status is 1 where something is wrong."""
    # What the Hub's own classes log would stand between the findings.
    logging.disable(logging.WARNING)
    findings = asyncio.run(_checked(arguments))
    if arguments.json:
        print(as_json(findings))
    else:
        print(f"\n{summary(findings)}")
    return 1 if failed(findings) else 0


async def _checked(arguments: argparse.Namespace) -> list[Finding]:
    if arguments.kernel:
        source = check_kernel(arguments.kernel, arguments.patience)
    else:
        source = check_site(
            arguments.config,
            arguments.user,
            patience=arguments.patience,
            job=not arguments.no_job,
        )
    findings = []
    async for finding in source:
        if not arguments.json:
            print(as_text(finding), flush=True)
        findings.append(finding)
    return findings
