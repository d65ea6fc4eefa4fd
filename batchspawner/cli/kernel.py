"""Kernels that run in jobs: ``batchspawner kernel`` installs, lists, edits and removes them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeVar

from ..errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = {
    "scheduler": "such as slurm; by default that of the machine on which the kernel is started",
    "queue": "queue, or partition",
    "account": "account that pays for the job",
    "qos": "quality of service",
    "reservation": "reservation to run in",
    "cluster": "cluster, if the scheduler has several",
    "nodes": "number of nodes",
    "nprocs": "number of cores",
    "parallel_environment": "Grid Engine's parallel environment for several cores",
    "gpus": "number of GPUs",
    "gres": "generic resources of Slurm, such as gpu:a100:2",
    "memory": "memory, such as 4G",
    "runtime": "how long the job may run, such as 2:00:00",
    "options": "more options of the submit command",
    "prologue": "shell commands to run in the job before the kernel, such as: module load cuda",
    "epilogue": "shell commands to run in the job after the kernel",
    "allocation": "a name: kernels with the same one share a job",
    "jobid": "a job to join: one that holds kernels already or, on Slurm, any of yours",
    "node": "the node to run on",
    "linger": "seconds that a job goes on after its last kernel has ended",
    "patience": "seconds that a kernel goes on after its server is gone",
    "wait": "true if starting the kernel waits for the job",
    "python": "the Python that starts the kernel in the job",
    "tunnel": "ssh, or its command line, if the nodes' ports cannot be reached",
    "transport": "ipc or tcp: how a kernel listens on its node if it cannot encrypt",
    "keepvars": "names of the server's environment variables that the kernel gets",
}
_UNSET = "none"

A = TypeVar("A", bound=argparse.Namespace)


class InstallArguments(argparse.Namespace):
    """The command line of `batchspawner kernel install`, which also has all of `_OPTIONS`."""

    name: str
    kernel: str
    display_name: str
    prefix: str | None
    replace: bool


class NameArguments(argparse.Namespace):
    """The command line of `edit`, which also has all of `_OPTIONS`, and of `remove`."""

    name: str


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `kernel` and its verbs to the command line."""
    top = commands.add_parser("kernel", help="make kernels that run in jobs")
    verbs = top.add_subparsers(metavar="VERB", required=True)

    one = verbs.add_parser(
        "install", help="install a kernel that runs another one of this machine in jobs"
    )
    one.add_argument("name", help="name of the new kernel")
    one.add_argument("--kernel", default="python3", help="the kernel to run (%(default)s)")
    one.add_argument("--display-name", default="", help="what people see")
    one.add_argument("--prefix", help="install for everybody whose Jupyter is installed here")
    one.add_argument(
        "--sys-prefix",
        action="store_const",
        const=sys.prefix,
        dest="prefix",
        help="install for everybody who uses this Python",
    )
    one.add_argument("--replace", action="store_true", help="replace a kernel of the same name")
    _add_options(one, "")
    one.set_defaults(run=_reporting(_install))

    one = verbs.add_parser("list", help="print the kernels that run in jobs, and check them")
    one.set_defaults(run=_reporting(_list))

    one = verbs.add_parser("edit", help="change the settings of a kernel's job")
    one.add_argument("name")
    _add_options(one, f"; {_UNSET} removes it")
    one.set_defaults(run=_reporting(_edit))

    one = verbs.add_parser("remove", help="remove a kernel that runs in jobs")
    one.add_argument("name")
    one.set_defaults(run=_reporting(_remove))


def _add_options(parser: argparse.ArgumentParser, more: str) -> None:
    group = parser.add_argument_group("the job")
    for name, text in _OPTIONS.items():
        group.add_argument(f"--{name.replace('_', '-')}", help=text + more)


def _given(arguments: argparse.Namespace) -> dict[str, str]:
    values: dict[str, str | None] = {name: getattr(arguments, name) for name in _OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def _reporting(
    verb: Callable[[A], int],
) -> Callable[[A], int]:
    def run(arguments: A) -> int:
        try:
            return verb(arguments)
        except ImportError as error:
            text = f"{error}. Install what kernels need: pip install 'batchspawner[kernels]'"
        except (BatchError, OSError) as error:
            text = str(error)
        print(f"batchspawner: {text}", file=sys.stderr)
        return 1

    return run


def _install(arguments: InstallArguments) -> int:
    from ..kernels import kernelspecs

    folder = kernelspecs.install(
        arguments.name,
        arguments.kernel,
        _given(arguments),
        prefix=arguments.prefix,
        display_name=arguments.display_name,
        replace=arguments.replace,
    )
    print(f"Installed the kernel {arguments.name} in {folder}")
    return 0


def _list(_: argparse.Namespace) -> int:
    from ..kernels import kernelspecs

    found = kernelspecs.listing()
    for one in found:
        settings = " ".join(f"{key}={value}" for key, value in one.config.items())
        print(f"{one.name}\t{one.display_name}\t{settings}\t{one.folder}")
        if one.trouble:
            print(f"\t{one.trouble}")
    return 1 if any(one.trouble for one in found) else 0


def _edit(arguments: NameArguments) -> int:
    from ..kernels import kernelspecs

    given = _given(arguments)
    changes = {name: None if value == _UNSET else value for name, value in given.items()}
    one = kernelspecs.edit(arguments.name, changes)
    for key, value in one.config.items():
        print(f"{key}\t{value}")
    return 0


def _remove(arguments: NameArguments) -> int:
    from ..kernels import kernelspecs

    print(f"Removed {kernelspecs.remove(arguments.name)}")
    return 0
