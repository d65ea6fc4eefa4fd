"""Let a job wait for others: by its scheduler where that can, else by this process."""

from __future__ import annotations

import concurrent.futures
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...client.blocking_client import run
from ...errors import BatchError, JobCancelled
from ...jobs import JobInfo, JobState
from ..futures import JobFuture

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient
    from ..calls import Dependency

# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=scheduling-dependency-conditions
_LSF = {"after": "started", "afterany": "ended", "afterok": "done", "afternotok": "exit"}


def native(scheduler: str, after: tuple[Dependency, ...]) -> str | None:
    """Return the line of a job script that asks for dependencies.

    None where the scheduler has no such thing, or where a job that is waited for is not submitted
    yet: then it is for `awaited`.
    """
    lines: list[str] = []
    groups = [(one.method, _ids(one.jobs)) for one in after]
    if any(ids is None for _, ids in groups):
        return None
    words = {
        method: _words(scheduler, method, list(dict.fromkeys(ids or []))) for method, ids in groups
    }
    if None in words.values():
        return None
    parts = [text for text in words.values() if text]
    if scheduler == "slurm":
        # Else a job that can never start would wait for ever.
        lines = [f"--dependency={','.join(parts)}", "--kill-on-invalid-dep=yes"]
    elif scheduler == "lsf":
        lines = [f'-w "{" && ".join(parts)}"']
    elif scheduler in ("torque", "pbspro"):
        lines = [f"-W depend={','.join(parts)}"]
    else:
        lines = parts
    return "\n".join(lines)


def _words(scheduler: str, method: str, ids: list[str]) -> str | None:
    if scheduler == "slurm":
        return ":".join([method, *(one.partition(";")[0] for one in ids)])
    if method == "singleton":
        return None
    if scheduler in ("torque", "pbspro"):
        return ":".join([method, *ids])
    if scheduler == "lsf":
        return " && ".join(f"{_LSF[method]}({one})" for one in ids)
    if scheduler == "gridengine" and method == "afterany":
        return f"-hold_jid {','.join(ids)}"
    if scheduler == "oar" and method == "afterany":
        return "\n".join(f"-a {one}" for one in ids)
    return None


def _ids(jobs: tuple[Any, ...]) -> list[str] | None:
    """Return the ids of jobs, None where one has none yet or has ended otherwise than wanted."""
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
    good = all(not one.cancelled() and not one.exception() for one in ended)
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
    from ..calls import Dependency

    if not jobs:
        return after
    same = [one for one in after if one.method == "afterany"]
    rest = tuple(one for one in after if one.method != "afterany")
    whole = itertools.chain(jobs, *(one.jobs for one in same))
    return (*rest, Dependency("afterany", tuple(dict.fromkeys(whole))))
