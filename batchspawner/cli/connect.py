"""A connection to a cluster in a job on another host: ``batchspawner connect``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from typing import TYPE_CHECKING

from ..client.blocking_client import run
from ..errors import BatchError

if TYPE_CHECKING:
    from ..clusters import Connection

# Options of ssh, each with the same name.
_SSH = {
    "-F": ("FILE", "ssh's configuration file"),
    "-J": ("HOST", "host to jump over"),
    "-i": ("FILE", "private key"),
    "-l": ("USER", "user on the host"),
    "-p": ("PORT", "port of the host's sshd"),
    "-o": ("OPTION", "any option of ssh, such as ProxyCommand=...; may be repeated"),
}


class Arguments(argparse.Namespace):
    """The command line of `batchspawner connect`, which also has all of `_SSH`."""

    host: str | None
    where: str | None
    notebook: bool
    no_browser: bool
    wait: float
    cluster_id: str
    clean: bool


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `connect` to the command line."""
    one = commands.add_parser(
        "connect",
        help="reach an ipyparallel cluster in a job over one ssh connection",
        description="Open one ssh connection as your ssh configuration says, forward all ports of "
        "the cluster over it, and make a local IPython profile for it, until Ctrl-C.",
    )
    one.add_argument("host", nargs="?", metavar="HOST", help="host that ssh connects to")
    one.add_argument(
        "where",
        nargs="?",
        metavar="JOBID|PROFILE_DIR",
        help="id of the cluster's job, or the folder of its profile",
    )
    one.add_argument("--notebook", action="store_true", help="open the job's Jupyter server too")
    one.add_argument(
        "--no-browser", action="store_true", help="print the address of the Jupyter server instead"
    )
    one.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for the cluster to start",
    )
    one.add_argument("--cluster-id", default="", help="ipyparallel's id of the cluster, if any")
    one.add_argument(
        "--clean",
        action="store_true",
        help="only remove the files of crashed connections on this machine",
    )
    ssh = one.add_argument_group("options of ssh")
    for option, (value, text) in _SSH.items():
        ssh.add_argument(option, action="append", default=[], metavar=value, help=text)
    one.set_defaults(run=_run)


def _run(arguments: Arguments) -> int:
    if arguments.clean:
        return _clean()
    if not arguments.host or not arguments.where:
        return _fail("name the host, and the job's id or the profile's folder there")
    from ..clusters import connect

    logging.basicConfig(format="batchspawner connect: %(message)s")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    options: list[str] = []
    for option in _SSH:
        values: list[str] = getattr(arguments, option.lstrip("-"))
        options += [word for value in values for word in (option, value)]
    try:
        link = connect(
            arguments.host,
            arguments.where,
            notebook=arguments.notebook,
            wait=arguments.wait,
            cluster_id=arguments.cluster_id,
            options=options,
            terminal=sys.stdin.isatty(),
        )
        with link:
            _print_usage(link, browser=arguments.notebook and not arguments.no_browser)
            link.wait()
        print("The controller no longer answers: its job has ended.")
    except KeyboardInterrupt:
        print()
    except BatchError as error:
        return _fail(error)
    return 0


def _print_usage(link: Connection, *, browser: bool) -> None:
    if browser:
        print(f"Notebook:  {link.open_notebook()}")
    elif link.notebook_url:
        print(f"Notebook:  {link.notebook_url}")
    print(
        f"Connected. In Python here:  import ipyparallel as ipp; "
        f"rc = ipp.Client(profile={link.profile!r})\nCtrl-C ends the connection.",
        flush=True,
    )


def _clean() -> int:
    from ..clusters.local_profile import clean

    for name in run(clean()):
        print(f"Removed the files of the connection to {name}.")
    return 0


def _fail(error: object) -> int:
    print(f"batchspawner connect: {error}", file=sys.stderr)
    return 1
