"""The selection of the workers of an Executor by its arguments."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ...allocation.allocation import client_for
from ...client.blocking_client import run
from ...client.job_scripts import detect, find_scheduler
from ...schedulers import FALLBACK
from ..options import job_files, job_resources
from ..refusals import explained
from ..submit_limits import count_submit, refuse_recursion
from .job_workers import JobWorkerProvider, RemoteWorkerProvider
from .process_workers import ProcessProvider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .gateway import Gateway
    from .worker_providers import WorkerProvider


def scheduler_and_size(
    scheduler: str | int | None, workers: int | None, max_workers: int | None
) -> tuple[str, int]:
    """Return the scheduler and the number of workers, which may stand first as elsewhere.

    Raises TypeError if the number is given twice, ValueError if it is not positive.
    """
    given = [one for one in (workers, max_workers) if one is not None]
    if scheduler is not None and not isinstance(scheduler, str):
        given.append(scheduler)
    if len(given) > 1:
        raise TypeError("the number of workers is given twice")
    name = scheduler if isinstance(scheduler, str) else "auto"
    return name, positive("workers", given[0] if given else os.cpu_count() or 1)


def positive(option: str, number: int) -> int:
    """Return a number. Raises ValueError, which names the option, if it is not positive."""
    if number < 1:
        raise ValueError(f"{option} must be greater than 0, not {number}")
    return number


def chosen_provider(
    scheduler: str,
    options: Mapping[str, object],
    python: str,
    *,
    results: str,
    network: bool,
    margin: float,
    host: str,
    ssh_options: Sequence[str],
) -> WorkerProvider:
    """Return what brings the workers that the arguments of an Executor describe.

    Raises OptionsError for a wrong option, TypeError or ValueError for another wrong argument, and
    TooManyDispatchesError if the program has reached its limit of jobs.
    """
    if isinstance(ssh_options, str):
        raise TypeError(f"ssh_options are a list of words, not {ssh_options!r}")
    provider: WorkerProvider
    if host:
        python = python or "python3"
        provider = _remote_provider(host, ssh_options, scheduler, options, python, margin)
    else:
        python = python or sys.executable
        provider = _provider(scheduler, options, python, network=network, margin=margin)
    provider.choose_results(results)
    return provider


@explained()
def _provider(
    scheduler: str, options: Mapping[str, object], python: str, *, network: bool, margin: float
) -> WorkerProvider:
    if scheduler == "auto":
        scheduler = detect()
        scheduler = "processes" if scheduler == FALLBACK else scheduler
    if scheduler == "processes":
        job_resources(find_scheduler(FALLBACK), options)
        return ProcessProvider(python, job_files(options))
    refuse_recursion("an Executor was to be made")
    client = client_for(scheduler)
    job_resources(client.scheduler, options)  # raises at once if an option is wrong
    count_submit()
    return JobWorkerProvider(client, options, python=python, network=network, margin=margin)


@explained()
def _remote_provider(
    host: str,
    ssh_options: Sequence[str],
    scheduler: str,
    options: Mapping[str, object],
    python: str,
    margin: float,
) -> WorkerProvider:
    refuse_recursion("an Executor was to be made")
    gateway = run(_opened(host, ssh_options, scheduler, python))
    try:
        job_resources(gateway.client.scheduler, options)
        count_submit()
    except BaseException:
        run(gateway.close())
        raise
    return RemoteWorkerProvider(gateway, options, python=python, margin=margin)


async def _opened(host: str, options: Sequence[str], scheduler: str, python: str) -> Gateway:
    from .gateway import Gateway

    return await Gateway(host, options, python).open(scheduler)
