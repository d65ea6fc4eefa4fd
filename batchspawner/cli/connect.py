"""Reach a cluster in a job on another host, until Ctrl-C."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING

from ..client.blocking_client import run
from ..errors import BatchError

if TYPE_CHECKING:
    import argparse

    from ..clusters import Connection

# What ssh has an option for, with its own letter.
_SSH = {
    "-F": ("FILE", "ssh's configuration file"),
    "-J": ("HOST", "host to jump over"),
    "-i": ("FILE", "private key"),
    "-l": ("USER", "user on the host"),
    "-p": ("PORT", "port of the host's sshd"),
    "-o": ("OPTION", "any option of ssh, such as ProxyCommand=...; may be repeated"),
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `connect` to the command line."""
    one = commands.add_parser(
        "connect",
        help="reach an ipyparallel cluster in a job over one ssh connection",
        description="Opens one ssh connection as your ssh configuration says, forwards all ports "
        "of the cluster over it, and makes a local IPython profile that leads there, until Ctrl-C.",
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
        help="how long the cluster may need to start",
    )
    one.add_argument("--cluster-id", default="", help="ipyparallel's id of the cluster, if any")
    one.add_argument(
        "--clean", action="store_true", help="only remove what crashed connections have left here"
    )
    ssh = one.add_argument_group("options of ssh")
    for letter, (value, text) in _SSH.items():
        ssh.add_argument(letter, action="append", default=[], metavar=value, help=text)
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.clean:
        return _clean()
    if not arguments.host or not arguments.where:
        return _fail("name the host, and the job's id or the profile's folder there")
    from ..clusters import connect

    logging.basicConfig(format="batchspawner connect: %(message)s")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    given = [(letter, value) for letter in _SSH for value in getattr(arguments, letter[1])]
    try:
        link = connect(
            arguments.host,
            arguments.where,
            notebook=arguments.notebook,
            wait=arguments.wait,
            cluster_id=arguments.cluster_id,
            options=[word for pair in given for word in pair],
            terminal=sys.stdin.isatty(),
        )
        with link:
            _say(link, browser=arguments.notebook and not arguments.no_browser)
            link.wait()
        print("The controller does not answer any more: its job has ended.")
    except KeyboardInterrupt:
        print()
    except BatchError as error:
        return _fail(error)
    return 0


def _say(link: Connection, *, browser: bool) -> None:
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
        print(f"Removed what the connection to {name} had left.")
    return 0


def _fail(error: object) -> int:
    print(f"batchspawner connect: {error}", file=sys.stderr)
    return 1
