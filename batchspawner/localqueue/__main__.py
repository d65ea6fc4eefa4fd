"""Read the command line of `batchspawner-queue`."""

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

from . import actions
from .folder import QueueError, state_folder
from .options import add_options, job_options
from .scheduling import LIVE, schedule
from .store import FINAL, Store

EX_TIMEOUT = 124


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = _parser().parse_args(argv)
    run, state = arguments.__dict__.pop("run"), arguments.__dict__.pop("state")
    try:
        with contextlib.closing(Store(state_folder(state))) as store:
            status: int = run(store, arguments)
            return status
    except QueueError as error:
        _say(error)
        return 2 if run is submit else 1
    except (OSError, sqlite3.Error, ValueError, OverflowError) as error:
        _say(f"the queue does not work (its folder: {state_folder(state)}): {error}")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _say(what: object) -> None:
    print(f"batchspawner-queue: {what}", file=sys.stderr)


def submit(store: Store, arguments: argparse.Namespace) -> int:
    """Add a job, and start it if there is room."""
    file = arguments.__dict__.pop("file")
    try:
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
        _say(f"job {job_id} could not be started yet: {error}")
    return 0


def query(store: Store, arguments: argparse.Namespace) -> int:
    """Print jobs as JSON."""
    schedule(store)
    with store.locked():
        jobs = actions.listing(store, arguments)
    print(json.dumps({"jobs": jobs}, indent=1))
    return 0


def info(store: Store, arguments: argparse.Namespace) -> int:  # noqa: ARG001  (as all commands)
    """Print as JSON how many slots there are, and how many are free."""
    schedule(store)
    with store.locked():
        store.use_environment(os.environ)
        slots = store.slots
        taken = sum(row["slots"] for row in store.jobs(*LIVE))
    print(json.dumps({"slots": slots, "free": max(slots - taken, 0)}))
    return 0


def cancel(store: Store, arguments: argparse.Namespace) -> int:
    """End jobs, waiting or running."""
    schedule(store)
    for job_id in arguments.ids:
        note = actions.cancel(store, job_id)
        if note:
            _say(note)
    schedule(store)
    return 0


def send_signal(store: Store, arguments: argparse.Namespace) -> int:
    """Send a signal to a running job."""
    schedule(store)
    actions.send_signal(store, arguments.id, arguments.signal)
    return 0


def wait(store: Store, arguments: argparse.Namespace) -> int:
    """Wait until jobs have ended."""
    end = time.monotonic() + arguments.timeout if arguments.timeout is not None else None
    while True:
        schedule(store)
        rows = [row for job_id in arguments.ids if (row := store.job(job_id)) is not None]
        if all(row["state"] in FINAL for row in rows):
            codes = [actions.exit_status(row) for row in rows]
            return max(codes, default=0)
        if end is not None and time.monotonic() >= end:
            _say("not all jobs have ended in time")
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

    one = commands.add_parser("query", help="print jobs as JSON")
    one.add_argument("ids", nargs="*", type=_job_id, metavar="ID", help="these (all that live)")
    one.add_argument("--all", action="store_true", help="also those that ended in the last day")
    one.add_argument("--comment", help="only those with this comment")
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
