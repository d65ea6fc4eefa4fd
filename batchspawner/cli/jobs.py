"""The jobs that a user has submitted through this library: ``batchspawner jobs``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from ..allocation.job_records import JobRecord, record_of, records
from ..client.batch_client import BatchClient
from ..errors import BatchError, SchedulerError
from .terminal import print_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from ..jobs import JobInfo

_POLL_INTERVAL_S = 0.5
"""Seconds between two reads of a log that is followed."""

_HEAD = ("JOB", "SCHEDULER", "STATE", "SUBMITTED", "WHAT", "NAME")


class ListArguments(argparse.Namespace):
    """The command line of `batchspawner jobs list`."""

    all: bool


class LogArguments(argparse.Namespace):
    """The command line of `batchspawner jobs log`."""

    job: str
    follow: bool


class CancelArguments(argparse.Namespace):
    """The command line of `batchspawner jobs cancel`."""

    jobs: list[str]
    all: bool


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `jobs` and its verbs to the command line."""
    top = commands.add_parser("jobs", help="list, show and end your jobs of this library")
    verbs = top.add_subparsers(metavar="VERB", required=True)

    one = verbs.add_parser("list", help="print the jobs that wait or run")
    one.add_argument("--all", action="store_true", help="also those that ended in the last days")
    one.set_defaults(run=_list)

    one = verbs.add_parser("log", help="print what a job has printed")
    one.add_argument("job")
    one.add_argument("--follow", "-f", action="store_true", help="continue until the job ends")
    one.set_defaults(run=_log)

    one = verbs.add_parser("cancel", help="end jobs, waiting or running")
    one.add_argument("jobs", nargs="*", metavar="JOB")
    one.add_argument("--all", action="store_true", help="all that `list` lists")
    one.set_defaults(run=_cancel)


def _list(arguments: ListArguments) -> int:
    known, problems = asyncio.run(_all_states())
    rows = [_HEAD]
    for record, state in known:
        if arguments.all or not record.ended:
            when = f"{datetime.fromtimestamp(record.submitted):%Y-%m-%d %H:%M}"
            rows.append(
                (record.job_id, record.scheduler, state, when, record.front_end, record.name)
            )
    if len(rows) > 1:
        print_table(rows)
    for problem in problems:
        print(f"batchspawner jobs: {problem}", file=sys.stderr)
    return int(bool(problems))


def _log(arguments: LogArguments) -> int:
    try:
        record = record_of(arguments.job)
    except LookupError as error:
        return _fail(error)
    offsets: dict[str, int] = {}
    _print_new(record, offsets)
    if arguments.follow:
        asyncio.run(_follow(record, offsets))
    return 0


def _cancel(arguments: CancelArguments) -> int:
    if bool(arguments.jobs) == arguments.all:
        return _fail("name the jobs to cancel, or give --all")
    try:
        wanted = (
            [record for record, _ in asyncio.run(_all_states())[0] if not record.ended]
            if arguments.all
            else [record_of(job) for job in arguments.jobs]
        )
        asyncio.run(_each(BatchClient(one.scheduler).cancel(one.job_id) for one in wanted))
    except (BatchError, LookupError) as error:
        return _fail(error)
    return 0


async def _all_states() -> tuple[list[tuple[JobRecord, str]], list[SchedulerError]]:
    """Return all records with their states, and the errors of schedulers that did not answer.

    The end of a job is written into its record, so that no scheduler is asked again.
    """
    everything = records()
    answers = await asyncio.gather(*(_state(one) for one in everything), return_exceptions=True)
    known, problems = [], {}
    for record, answer in zip(everything, answers):
        if isinstance(answer, SchedulerError):
            problems[record.scheduler] = answer
            known.append((record, "?"))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            known.append(answer)
    return known, list(problems.values())


async def _state(record: JobRecord) -> tuple[JobRecord, str]:
    if record.ended:
        return record, record.ended
    status = await BatchClient(record.scheduler).status(record.job_id)
    state = status.state.value
    return (record.close(state) if status.is_final else record), state


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
    for file in sorted((*record.folder.glob("output*"), record.folder / "log")):
        if file.is_file():
            with file.open("rb") as log:
                log.seek(offsets.get(file.name, 0))
                text = log.read()
                offsets[file.name] = log.tell()
            sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()


async def _each(work: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*work)


def _fail(error: object) -> int:
    print(f"batchspawner jobs: {error}", file=sys.stderr)
    return 1
