"""Self-test of functions as jobs on a site: ``python -m batchspawner.functions.check``.

Each step prints how long it took. The first that fails prints why, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

from ..client.job_scripts import SCHEDULER_VARIABLE, detect
from ..errors import BatchError
from .dispatch.batch import BatchDispatcher
from .dispatch.current_dispatcher import set_dispatcher
from .executor.executor import Executor
from .function import slurmify
from .session import jobs_folder
from .submit_limits import in_job

if TYPE_CHECKING:
    from collections.abc import Callable

_PRINTED = "printed in a job"


class CheckFailed(Exception):
    """Step of the check that found something else than it should."""


@slurmify
def add(one: int, other: int) -> int:
    """Return a sum. Raises CheckFailed outside of a job."""
    if not in_job():
        raise CheckFailed("this is no job")
    print(_PRINTED, flush=True)
    return one + other


@slurmify
def fail() -> None:
    """Raise the exception that the check expects."""
    raise KeyError("expected")


class Check:
    """Steps of the check. `timeout_s` is how many seconds a job may wait and run."""

    def __init__(self, scheduler: str, options: dict[str, Any], timeout_s: float) -> None:
        self._scheduler, self._options, self._timeout_s = scheduler, options, timeout_s

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return each step with its title."""
        return [
            ("a job returns a value", self.value),
            ("what it prints can be read", self.log),
            ("an exception comes back", self.exception),
            ("workers share many calls", self.workers),
        ]

    def value(self) -> str:
        self._future = add.with_options(**self._options).distribute(40, 2)
        _expect(42, self._wait(self._future))
        return f"job {self._future.get_job_id()}"

    def log(self) -> str:
        _expect(True, _PRINTED in self._future.log())
        return str(self._future.get_info()["folder"])

    def exception(self) -> str:
        try:
            self._wait(fail.with_options(**self._options).distribute())
        except KeyError as error:
            return repr(error)
        raise CheckFailed("the exception was lost")

    def workers(self) -> str:
        with Executor(self._scheduler, workers=2, **self._options) as executor:
            values = executor.map(pow, range(1000), [2] * 1000, timeout=self._timeout_s)
            _expect(sum(n * n for n in range(1000)), sum(values))
        return "1000 calls"

    def _wait(self, future: futures.Future[Any]) -> object:
        try:
            return future.result(self._timeout_s)
        finally:
            future.cancel()  # a check leaves no job behind


def _expect(wanted: object, found: object) -> None:
    if wanted != found:
        raise CheckFailed(f"expected {wanted!r}, got {found!r}")


def main(argv: list[str] | None = None) -> int:
    """Run all steps, and return the exit status."""
    arguments, scheduler = _arguments(argv)
    options = dict(arguments.option)
    for name in ("partition", "constraint"):
        if getattr(arguments, name):
            options[name] = getattr(arguments, name)
    print(f"scheduler: {scheduler} (set {SCHEDULER_VARIABLE} to have another)")
    print(f"Python:    {sys.executable}\nfolder:    {jobs_folder()}")
    check = Check(scheduler, options, arguments.timeout_s)
    set_dispatcher(BatchDispatcher(scheduler))
    try:
        return int(not all(_passes(title, step) for title, step in check.steps()))
    finally:
        set_dispatcher(None)


def _passes(title: str, step: Callable[[], str]) -> bool:
    begun = time.monotonic()
    try:
        result = step()
    except (BatchError, CheckFailed, futures.TimeoutError) as error:
        print(f"FAILED {title}: {type(error).__name__}: {str(error) or 'it took too long'}")
        return False
    print(f"ok     {title} ({time.monotonic() - begun:.1f} s): {result}")
    return True


def _arguments(argv: list[str] | None) -> tuple[argparse.Namespace, str]:
    parser = argparse.ArgumentParser(
        prog="python -m batchspawner.functions.check",
        description="Test on this site what functions as jobs need.",
    )
    parser.add_argument("--scheduler", default="auto", help="slurm, local, ... (default: found)")
    parser.add_argument("--partition", help="the queue to use")
    parser.add_argument("--constraint", help="features of the nodes, on Slurm")
    parser.add_argument(
        "--option",
        "-o",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="an option of the jobs; may be repeated",
    )
    parser.add_argument(
        "--patience",
        dest="timeout_s",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a job may wait and run (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    return arguments, detect() if arguments.scheduler == "auto" else arguments.scheduler


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} has not the form NAME=VALUE")
    return name, value


if __name__ == "__main__":
    # Jobs have to find the functions in the module, not in a script.
    from batchspawner.functions.check import main as imported

    sys.exit(imported())
