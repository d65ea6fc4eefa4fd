"""The jobs that a user has submitted through this library: ``batchspawner jobs``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from ..allocation.job_records import JobRecord, record_of, records
from ..client.batch_client import BatchClient
from ..client.monitor import shared_monitor
from ..clusters.folders import data_folder
from ..concurrency import within
from ..errors import SchedulerError, SchedulerUnavailable
from .terminal import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..jobs import JobInfo

_POLL_INTERVAL_S = 0.5
"""Seconds between two reads of a log that is followed."""

_TIMEOUT_S = 20.0
"""How long we wait for all schedulers together, unless the user says otherwise."""

_HEAD = ("JOB", "SCHEDULER", "STATE", "SUBMITTED", "WHAT", "NAME")

_JOB_HELP = "id of the job, with its scheduler if several have such a job: slurm:17"


class ListArguments(argparse.Namespace):
    """The command line of `batchspawner jobs list`."""

    all: bool
    timeout: float


class LogArguments(argparse.Namespace):
    """The command line of `batchspawner jobs log`."""

    job: str
    follow: bool


class CancelArguments(argparse.Namespace):
    """The command line of `batchspawner jobs cancel`."""

    jobs: list[str]
    all: bool
    timeout: float


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `jobs` and its verbs to the command line."""
    top = commands.add_parser("jobs", help="list, show and end your jobs of this library")
    verbs = top.add_subparsers(metavar="VERB", required=True)

    one = verbs.add_parser("list", help="print the jobs that wait or run")
    one.add_argument("--all", action="store_true", help="also those that ended in the last days")
    _add_timeout(one)
    one.set_defaults(run=_list)

    one = verbs.add_parser("log", help="print what a job has printed")
    one.add_argument("job", metavar="JOB", help=_JOB_HELP)
    one.add_argument("--follow", "-f", action="store_true", help="continue until the job ends")
    one.set_defaults(run=_log)

    one = verbs.add_parser("cancel", help="end jobs, waiting or running")
    one.add_argument("jobs", nargs="*", metavar="JOB", help=_JOB_HELP)
    one.add_argument("--all", action="store_true", help="all that `list` lists")
    _add_timeout(one)
    one.set_defaults(run=_cancel)


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT_S,
        metavar="SECONDS",
        help="how long a scheduler may take to answer (%(default)s)",
    )


def _list(arguments: ListArguments) -> int:
    known, problems = asyncio.run(_all_states(arguments.timeout))
    shown = [(record, state) for record, state in known if arguments.all or not record.ended]
    schedulers: dict[str, set[str]] = {}
    for record, _ in shown:
        schedulers.setdefault(record.job_id, set()).add(record.scheduler)
    rows = [_HEAD]
    for record, state in shown:
        job = record.full_name if len(schedulers[record.job_id]) > 1 else record.job_id
        when = f"{datetime.fromtimestamp(record.submitted):%Y-%m-%d %H:%M}"
        rows.append((job, record.scheduler, state, when, record.front_end, record.name))
    if shown:
        print_table(rows)
    elif not problems:
        hint = "" if arguments.all else "; see those that have ended: batchspawner jobs list --all"
        print(f"There is no job{hint}", file=sys.stderr)
    return _report(problems)


def _log(arguments: LogArguments) -> int:
    try:
        record = _record(arguments.job)
        offsets: dict[str, int] = {}
        _print_new(record, offsets)
        if arguments.follow:
            asyncio.run(_follow(record, offsets))
    except LookupError as error:
        return _report([error])
    return 0


def _cancel(arguments: CancelArguments) -> int:
    if bool(arguments.jobs) == arguments.all:
        return _report(["name the jobs to cancel, or give --all"])
    try:
        wanted = None if arguments.all else [_record(job) for job in arguments.jobs]
    except LookupError as error:
        return _report([error])
    return _report(asyncio.run(_cancel_all(wanted, arguments.timeout)))


async def _cancel_all(wanted: list[JobRecord] | None, timeout: float) -> list[str]:
    """Cancel jobs, by default all that have not ended; return what went wrong."""
    problems: list[str] = []
    if wanted is None:
        known, problems = await _all_states(timeout)
        wanted = [record for record, _ in known if not record.ended]
    done = await asyncio.gather(*(_cancel_one(one, timeout) for one in wanted))
    return list(dict.fromkeys([*problems, *filter(None, done)]))


async def _cancel_one(record: JobRecord, timeout: float) -> str:
    """Cancel a job; return why it may run on, empty if it was cancelled."""
    try:
        await within(timeout, BatchClient(record.scheduler).cancel(record.job_id))
    except (LookupError, SchedulerError) as error:
        return f"job {record.full_name} was not cancelled: {error}"
    except asyncio.TimeoutError:
        return f"job {record.full_name} was not cancelled: {_silent(record, timeout)}"
    return ""


async def _all_states(timeout: float) -> tuple[list[tuple[JobRecord, str]], list[str]]:
    """Return all records with their states, and which schedulers did not answer, and why.

    The end of a job is written into its record, so that no scheduler is asked again.
    """
    everything = records(_clusters())
    answers = await asyncio.gather(
        *(_state(one, timeout) for one in everything), return_exceptions=True
    )
    known, problems = [], {}
    for record, answer in zip(everything, answers):
        if isinstance(answer, (SchedulerError, LookupError)):
            problems[record.scheduler] = str(answer)
            known.append((record, "?"))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            known.append(answer)
    return known, list(problems.values())


async def _state(record: JobRecord, timeout: float) -> tuple[JobRecord, str]:
    """Return a record and the state of its job. Raises LookupError, SchedulerError."""
    if record.ended:
        return record, record.ended
    client = BatchClient(record.scheduler)
    try:
        status = await within(timeout, client.status(record.job_id))
    except asyncio.TimeoutError:
        trouble = shared_monitor(client.scheduler, client.query_runner).trouble
        raise trouble or SchedulerUnavailable(_silent(record, timeout)) from None
    state = status.state.value
    return (record.close(state) if status.is_final else record), state


def _silent(record: JobRecord, timeout: float) -> str:
    title = BatchClient(record.scheduler).scheduler.title
    return f"{title} did not answer within {timeout:g} s."


def _clusters() -> Path:
    return data_folder("clusters")


def _record(job: str) -> JobRecord:
    return record_of(job, _clusters())


async def _follow(record: JobRecord, offsets: dict[str, int]) -> None:
    """Print new output until the job has ended."""
    if record.ended:
        return
    ended = asyncio.ensure_future(BatchClient(record.scheduler).wait(record.job_id, 2.0))
    while not ended.done():
        await asyncio.wait([ended], timeout=_POLL_INTERVAL_S)
        _print_new(record, offsets)
    status: JobInfo = ended.result()
    record.close(status.state.value)
    print(f"job {record.job_id} ended: {status.describe()}", file=sys.stderr)


def _print_new(record: JobRecord, offsets: dict[str, int]) -> None:
    """Print the part of the job's logs that has not been printed yet."""
    for file in record.logs():
        if file.is_file():
            with file.open("rb") as log:
                log.seek(offsets.get(file.name, 0))
                text = log.read()
                offsets[file.name] = log.tell()
            sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()


def _report(problems: Iterable[object]) -> int:
    """Print what went wrong; return the exit status."""
    status = 0
    for problem in problems:
        print(f"batchspawner jobs: {problem}", file=sys.stderr)
        status = 1
    return status
