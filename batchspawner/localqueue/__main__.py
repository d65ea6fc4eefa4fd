"""The command `batchspawner-queue`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import actions
from .folder import QueueError, state_folder
from .options import add_options, job_options
from .scheduling import schedule
from .store import Store
from .table import job_table

if TYPE_CHECKING:
    from collections.abc import Callable

EX_TIMEOUT = 124


class Arguments(argparse.Namespace):
    """What a command line may hold; which attributes there are depends on the command."""

    run: Callable[[Store, Arguments], int]
    state: str
    file: str | None
    ids: list[int]
    all: bool
    json: bool
    comment: str | None
    id: int
    signal: int
    timeout: float | None


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = _parser().parse_args(argv, Arguments())
    try:
        with contextlib.closing(Store(state_folder(arguments.state))) as store:
            return arguments.run(store, arguments)
    except QueueError as error:
        _print_error(error)
        return 2 if arguments.run is submit else 1
    except (OSError, sqlite3.Error, ValueError, OverflowError) as error:
        _print_error(
            f"the queue does not work (its folder: {state_folder(arguments.state)}): {error}"
        )
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _print_error(message: object) -> None:
    print(f"batchspawner-queue: {message}", file=sys.stderr)


def submit(store: Store, arguments: Arguments) -> int:
    """Add a job, print its id, and start it if there are free slots."""
    try:
        file = arguments.file
        script = Path(file).read_bytes() if file else sys.stdin.buffer.read()
    except OSError as error:
        raise QueueError(f"cannot read the script: {error}") from error
    options = job_options(script.decode(errors="replace"), arguments)
    with store.locked():
        store.use_environment(os.environ)
        forgotten = store.purge(os.environ)
        job_id = store.add(options, script, os.environ)
    for old in forgotten:
        shutil.rmtree(store.folder_of(old), ignore_errors=True)
    print(job_id, flush=True)
    try:
        schedule(store)
    except (OSError, sqlite3.Error) as error:
        # The job is accepted, and any later command can start it.
        _print_error(f"job {job_id} could not be started yet: {error}")
    return 0


def query(store: Store, arguments: Arguments) -> int:
    """Print jobs: for a person as a table, for a program as JSON."""
    schedule(store)
    with store.locked():
        jobs = actions.listing(
            store, arguments.ids, include_ended=arguments.all, comment=arguments.comment
        )
    # A program reads a pipe or a file; those of earlier releases know no --json.
    if arguments.json or not sys.stdout.isatty():
        print(json.dumps({"jobs": jobs}, indent=1))
    else:
        print(job_table(jobs, time.time()))
    return 0


def info(store: Store, arguments: Arguments) -> int:  # noqa: ARG001  (as all commands)
    """Print as JSON how many slots there are, and how many are free."""
    schedule(store)
    with store.locked():
        store.use_environment(os.environ)
        slots = store.slots
        taken = store.slots_in_use()
    print(json.dumps({"slots": slots, "free": max(slots - taken, 0)}))
    return 0


def cancel(store: Store, arguments: Arguments) -> int:
    """Cancel jobs, waiting or running."""
    schedule(store)
    for job_id in arguments.ids:
        note = actions.cancel(store, job_id)
        if note:
            _print_error(note)
    schedule(store)
    return 0


def send_signal(store: Store, arguments: Arguments) -> int:
    """Send a signal to a running job."""
    schedule(store)
    actions.send_signal(store, arguments.id, arguments.signal)
    return 0


def wait(store: Store, arguments: Arguments) -> int:
    """Wait until jobs have ended; return the highest exit status."""
    end = time.monotonic() + arguments.timeout if arguments.timeout is not None else None
    while True:
        schedule(store)
        jobs = [job for job_id in arguments.ids if (job := store.job(job_id)) is not None]
        if all(job.has_ended for job in jobs):
            return max((actions.exit_status(job) for job in jobs), default=0)
        if end is not None and time.monotonic() >= end:
            _print_error("not all jobs have ended in time")
            return EX_TIMEOUT
        time.sleep(0.1)


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="batchspawner-queue",
        description="A batch queue for this machine: jobs wait for free slots and start in order.",
        epilog="The folder of the queue is $BATCHSPAWNER_QUEUE_DIR, or lies in "
        "~/.local/state/batchspawner. $BATCHSPAWNER_QUEUE_SLOTS at a submit sets how many slots "
        "there are (the number of processors), $BATCHSPAWNER_QUEUE_GRACE the seconds between "
        "TERM and KILL (5), $BATCHSPAWNER_QUEUE_KEEP how long an ended job is remembered "
        "(a week, in seconds).",
    )
    top.add_argument("--state", default="", metavar="FOLDER", help="folder of the queue")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    one = commands.add_parser("submit", help="add a job and print its id")
    one.add_argument("file", nargs="?", metavar="SCRIPT", help="the script (standard input)")
    add_options(one)
    one.set_defaults(run=submit)

    one = commands.add_parser("query", help="print jobs: a table on a terminal, otherwise JSON")
    one.add_argument("ids", nargs="*", type=_job_id, metavar="ID", help="these (all that live)")
    one.add_argument("--all", action="store_true", help="also those that ended in the last day")
    one.add_argument("--comment", help="only those with this comment")
    one.add_argument("--json", action="store_true", help="print JSON also on a terminal")
    one.set_defaults(run=query)

    one = commands.add_parser("info", help="print how many slots there are, as JSON")
    one.set_defaults(run=info)

    one = commands.add_parser("cancel", help="end jobs, waiting or running")
    one.add_argument("ids", nargs="+", type=_job_id, metavar="ID")
    one.set_defaults(run=cancel)

    one = commands.add_parser("signal", help="send a signal to a running job")
    one.add_argument("id", type=_job_id, metavar="ID")
    one.add_argument("signal", type=_signal_number, help="its number or name, such as 15 or TERM")
    one.set_defaults(run=send_signal)

    one = commands.add_parser("wait", help="wait until jobs have ended; exit status: the highest")
    one.add_argument("ids", nargs="+", type=_job_id, metavar="ID")
    one.add_argument("--timeout", type=float, metavar="SECONDS")
    one.set_defaults(run=wait)
    return top


def _job_id(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no job id")
    return int(text)


def _signal_number(text: str) -> int:
    name = text.upper()
    try:
        number = int(text) if text.isdigit() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
        return int(signal.Signals(number))
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no signal") from None


if __name__ == "__main__":
    sys.exit(main())
