"""Dependencies of jobs: by the scheduler if it can wait for them, else by this process."""

from __future__ import annotations

import concurrent.futures
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...client.blocking_client import run
from ...errors import BatchError, JobCancelled, OptionsError
from ...jobs import JobInfo, JobState
from ..calls import METHODS, Dependency
from ..futures import JobFuture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...client.batch_client import BatchClient
    from ...schedulers.base import Scheduler


_PLAIN_CONDITION = re.compile(rf"singleton|({'|'.join(METHODS)})(:[\w.@-]+)+")
"""A condition on other jobs, as in `METHODS`: https://slurm.schedmd.com/sbatch.html."""


def taken_dependencies(
    resources: Mapping[str, object],
) -> tuple[dict[str, object], tuple[Dependency, ...]]:
    """Return resources without a ``dependency``, and what that asks for.

    It has one of simple_slurm's forms: ``{"afterok": 119}``, ``"afterok:119,afterany:120"`` or a
    list of such texts. A text that only Slurm understands stays a resource. Raises OptionsError.
    """
    given = resources.get("dependency")
    if isinstance(given, (str, list, tuple)):
        given = _read_dependency(given.split(",") if isinstance(given, str) else given)
    if not isinstance(given, dict):
        return dict(resources), ()
    found = []
    for method, value in given.items():
        if method not in METHODS:
            raise OptionsError("dependency", given, f"it waits for: {', '.join(METHODS)}")
        jobs = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        ids = tuple(
            job for one in jobs for job in (one.split(":") if isinstance(one, str) else [one])
        )
        found.append(Dependency(method, ids))
    left = {name: value for name, value in resources.items() if name != "dependency"}
    return left, tuple(found)


def _read_dependency(conditions: Iterable[object]) -> dict[str, list[str]] | None:
    """Return the ids of jobs by condition; None if one is not among those that all can have."""
    found: dict[str, list[str]] = {}
    for one in map(str, conditions):
        if not _PLAIN_CONDITION.fullmatch(one):
            return None
        method, _, ids = one.partition(":")
        found.setdefault(method, []).extend(filter(None, ids.split(":")))
    return found


def native(scheduler: Scheduler, after: tuple[Dependency, ...]) -> str | None:
    """Return the lines of a job script that ask for dependencies.

    None if the scheduler cannot wait for these, or if a job to wait for is not submitted yet:
    then `awaited` waits.
    """
    jobs: dict[str, dict[str, None]] = {}
    for one in after:
        ids = _ids(one.jobs)
        if ids is None:
            return None
        jobs.setdefault(one.method, {}).update(dict.fromkeys(ids))
    return scheduler.dependencies({method: list(ids) for method, ids in jobs.items()})


def _ids(jobs: tuple[Any, ...]) -> list[str] | None:
    """Return the ids of jobs, None if one is not submitted yet or has ended in another way."""
    ids = []
    for one in jobs:
        is_future = isinstance(one, JobFuture)
        ids.append(
            ""
            if is_future and one.done()
            else str(one.get_job_id() or "")
            if is_future
            else str(one)
        )
    return ids if all(ids) else None


def still_open(after: tuple[Dependency, ...]) -> tuple[Dependency, ...]:
    """Return dependencies without those that are known to be met."""
    found = []
    for one in after:
        jobs = tuple(job for job in one.jobs if not _known_met(one.method, job))
        if jobs or one.method == "singleton":
            found.append(replace(one, jobs=jobs))
    return tuple(found)


def _known_met(method: str, job: Any) -> bool:
    return isinstance(job, JobFuture) and job.done() and _met_by(method, [job])


def _met_by(method: str, ended: list[concurrent.futures.Future[Any]]) -> bool:
    failed = concurrent.futures.Future.exception
    good = all(not one.cancelled() and not failed(one) for one in ended)
    return {"afterok": good, "afternotok": not good}.get(method, True)


def awaited(
    client: BatchClient, after: tuple[Dependency, ...], earlier: list[JobFuture]
) -> BatchError | None:
    """Wait for what a job depends on, in this thread.

    `earlier` are the calls of jobs of the same name. Returns why the job must not run.
    """
    for one in after:
        jobs = tuple(earlier) if one.method == "singleton" else one.jobs
        for job in jobs:
            if not _is_met(client, one.method, job):
                status = JobInfo(
                    "not submitted",
                    JobState.CANCELLED,
                    reason=f"it had to wait for {job}, {one.method}",
                )
                return JobCancelled(status)
    return None


def _is_met(client: BatchClient, method: str, job: Any) -> bool:
    if isinstance(job, JobFuture):
        futures = job.job.futures if job.job and job.job.futures else [job]
        if method == "after" and any(one.running() for one in futures):
            return True
        concurrent.futures.wait(futures)
        return _met_by(method, list(futures))
    good = run(client.wait(str(job))).succeeded
    return {"afterok": good, "afternotok": not good}.get(method, True)


def all_after(jobs: list[JobFuture], after: tuple[Dependency, ...]) -> tuple[Dependency, ...]:
    """Return dependencies with those that `join` asks for."""
    if not jobs:
        return after
    same = [one for one in after if one.method == "afterany"]
    rest = tuple(one for one in after if one.method != "afterany")
    whole = itertools.chain(jobs, *(one.jobs for one in same))
    return (*rest, Dependency("afterany", tuple(dict.fromkeys(whole))))
