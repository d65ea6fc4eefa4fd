"""The backend that uses the command strings of a site's configuration.

It works as all earlier releases did: the same commands in the same order, through `run_command`,
read by the methods of the spawner.
"""

from __future__ import annotations

import asyncio
import pwd
import re
from typing import TYPE_CHECKING, cast

from ...concurrency import within
from ...jobs import JobInfo, JobState
from ...schedulers import scheduler_class, scheduler_names
from ...templating import format_template, names_in
from ..failures.causes import cause_of
from ..failures.job_log import JobLog, log_path, read_tail, shared_log_size
from ..failures.spawn_failure import FailureDetails, SpawnFailure
from ..hub import metrics
from ..hub.commit import commit_state
from ..progress.messages import describe_submit
from ..secrets.confirmation import until_confirmed
from ..secrets.package import pack
from ..server_job import JobStatus
from .backend import Backend, fixed_port
from .names import check_names, risky_names
from .submit_queue import Slot, shared_queue

if TYPE_CHECKING:
    from ...schedulers.base import Scheduler
    from ..secrets.package import Package
    from .backend import BackendSpawner

_POLL_INTERVAL_S = 0.2
"""Time between two looks at the answer of the last query."""

_MAX_FAILED_QUERIES = 3
"""Number of failed queries in a row after which a job that is not found counts as ended."""

_NO_SUCH_JOB = re.compile(
    r"invalid job id|unknown job|unknown jobid|does not exist|do not exist|not found|no such job",
    re.IGNORECASE,
)


class CommandBackend(Backend):
    """Backend that submits, queries and cancels one server's job by its `batch_*_cmd`."""

    def __init__(self, spawner: BackendSpawner) -> None:
        super().__init__(spawner)
        self.host = ""
        self._failed = False
        self._failed_queries = 0
        self._ended = False
        self._slot: Slot | None = None

    async def run(self, *, refresh: bool = False) -> JobInfo:  # noqa: ARG002
        """Return that the job runs, once the last answer to a query says so."""
        spawner = self.spawner
        while not spawner.state_isrunning():
            await asyncio.sleep(_POLL_INTERVAL_S)
        host = self.host or spawner.state_gethost() or ""
        return JobInfo(spawner.job.id, JobState.RUNNING, host=host)

    def _scheduler(self) -> Scheduler | None:
        """Return the scheduler behind the commands, if its name is known."""
        name = self.spawner.scheduler_name
        return scheduler_class(name)() if name in scheduler_names() else None

    async def submit(self) -> None:
        spawner, job = self.spawner, self.spawner.job
        command = self._command(spawner.batch_submit_cmd)
        package = await pack(spawner, self._scheduler())
        job.prepared(package.claim.dump() if package.claim else {})
        commit_state(spawner)
        spawner.log.info("%s: submitting with %s", spawner.log_name, command)
        spawner.log.debug("%s: job script\n%s", spawner.log_name, package.shown)
        queue = shared_queue(spawner.scheduler_name, spawner.submit_concurrency)
        self._slot = queue.reserve(spawner.user.name)
        async with queue.turn(self._slot):
            log_offset = await shared_log_size(package.script)
            output = await self._submit(command, package)
        try:
            job_id = spawner.parse_job_id(output)
            job.submitted(job_id, log_path(package.script, job_id), log_offset)
        except Exception:
            spawner.log.exception("%s: no job id in %r", spawner.log_name, output)
            job.identified("")
        else:
            spawner.log.info("%s: submitted job %s", spawner.log_name, job_id)
        self._count("accepted" if job.id else "refused")

    async def _submit(self, command: str, package: Package) -> str:
        """Run the submit command and return what it printed. Raises RuntimeError."""
        limit = self.spawner.start_timeout
        work = self.spawner.run_command(command, input=package.script, env=package.environment)
        try:
            # Users do not wait longer for their server, and others may wait for this slot.
            return await within(limit, work)
        except asyncio.TimeoutError:
            self._count("no_answer")
            text = f"The submit command did not end within {limit} s, and was ended: {command}"
            raise RuntimeError(text) from None
        except Exception:
            self._count("refused")
            raise

    async def query(self) -> JobStatus:
        spawner, job = self.spawner, self.spawner.job
        self._failed = False
        if not job.id:
            job.observed("")
            return JobStatus.NOTFOUND
        try:
            job.observed(await spawner.run_command(self._command(spawner.batch_query_cmd)))
        except RuntimeError as error:
            # The text of a failed query may be one that the site's expressions know.
            job.observed(str(error.args[0]) if error.args else "")
            self._failed = not _NO_SUCH_JOB.search(job.native_status)
        except Exception:
            spawner.log.exception("%s: the query failed", spawner.log_name)
            job.observed("")
            self._failed = True
        if spawner.state_isrunning():
            return JobStatus.RUNNING
        if spawner.state_ispending():
            return JobStatus.PENDING
        if spawner.state_isunknown():
            return JobStatus.UNKNOWN
        return JobStatus.NOTFOUND

    async def cancel(self) -> None:
        await self.spawner.run_command(self._command(self.spawner.batch_cancel_cmd))

    async def poll(self) -> int | None:
        if not await self._is_gone():
            return None
        self.spawner.clear_state()
        return 1

    async def until_serving(self) -> None:
        """Wait until the job runs, and then until its server has reported a port."""
        spawner, job = self.spawner, self.spawner.job
        while not await self._is_running():
            await asyncio.sleep(spawner.startup_poll_interval)
        # The trait refuses None, which a site's method returns for a text without a host.
        spawner.ip = self.host = cast("str", job.reported_host or spawner.state_gethost())
        while spawner.port == 0:
            await self._next_query()
            spawner.port = spawner.port or fixed_port(spawner)
            job_id, log = job.id, self.job_log()
            if await spawner.poll() is not None:
                raise await self._failure(
                    "The Jupyter batch job started but died before launching the "
                    "single-user server.",
                    job_id,
                    log,
                )
        await until_confirmed(spawner)
        job.serving(spawner.ip, spawner.port)

    async def resume(self) -> None:
        """Wait for a job that an earlier Hub process had submitted. Raises RuntimeError."""
        await within(self.spawner.start_timeout, self.until_serving())

    async def until_gone(self) -> None:
        spawner = self.spawner
        for _ in range(10):
            status = await spawner.query_job_status()
            if status not in (JobStatus.RUNNING, JobStatus.UNKNOWN):
                self._ended = status is JobStatus.NOTFOUND and not self._failed
                return
            await asyncio.sleep(1)
        spawner.log.warning(
            "%s: job %s still runs 10 s after it was cancelled", spawner.log_name, spawner.job.id
        )

    def describe(self) -> tuple[int, str]:
        spawner = self.spawner
        if not spawner.job.id:
            return 0, describe_submit(self._slot.ahead if self._slot else 0)
        try:
            if spawner.state_ispending():
                return 20, "Pending in queue..."
            if spawner.state_isrunning():
                return 60, "Cluster job running... waiting to connect"
        except Exception:
            spawner.log.exception("%s: cannot read the job's state", spawner.log_name)
        return 10, "Unknown status..."

    def owner(self) -> int:
        """Return the id of the server's user, -1 if this machine does not know it."""
        try:
            return pwd.getpwnam(self.spawner.user.name).pw_uid
        except KeyError:
            return -1

    async def _is_running(self) -> bool:
        """Return whether the job runs. Raises SpawnFailure if it is gone."""
        spawner, job = self.spawner, self.spawner.job
        status = await spawner.query_job_status()
        if status is not JobStatus.NOTFOUND:
            self._failed_queries = 0
        elif not self._is_doubtful():
            spawner.log.warning(
                "%s: job %s is neither pending nor running: %s",
                spawner.log_name,
                job.id,
                job.native_status,
            )
            job_id, log = job.id, self.job_log()
            spawner.clear_state()
            raise await self._failure(
                "The Jupyter batch job has disappeared while pending in the queue or died "
                "immediately after starting.",
                job_id,
                log,
            )
        return status is JobStatus.RUNNING

    async def _is_gone(self) -> bool:
        if self._ended:
            return True
        if await self.spawner.query_job_status() is not JobStatus.NOTFOUND:
            self._failed_queries = 0
            return False
        return not self._is_doubtful()

    def _count(self, outcome: str) -> None:
        metrics.SUBMITS.labels(scheduler=self.spawner.scheduler_name, outcome=outcome).inc()

    def _is_doubtful(self) -> bool:
        """Return whether "not found" may only mean that the command failed this once."""
        if not self._failed or not self.spawner.job.id:
            return False
        self._failed_queries += 1
        return self._failed_queries < _MAX_FAILED_QUERIES

    async def _next_query(self) -> None:
        """Wait until the next query is due, or the job reports."""
        report = asyncio.ensure_future(self.spawner.job.report.wait())
        await asyncio.wait([report], timeout=self.spawner.startup_poll_interval)
        report.cancel()

    async def _failure(self, explanation: str, job_id: str, log: JobLog) -> SpawnFailure:
        """Return the failure of a job about which only its log says more."""
        tail = await read_tail(log, self.owner())
        cause = cause_of(JobInfo(job_id, JobState.FAILED), tail)
        return SpawnFailure(details=FailureDetails(cause, explanation, job_id, log.path, tail))

    def _command(self, template: str) -> str:
        """Return a command line of the configuration, with `exec_prefix` before it."""
        variables = self.spawner.get_req_subvars()
        variables["job_id"] = self.spawner.job.id
        names = risky_names(self.spawner)
        for one in (self.spawner.exec_prefix, template) if names else ():
            check_names(names, variables, names_in(one), f"the command {one!r}")
        return " ".join(
            (
                format_template(self.spawner.exec_prefix, **variables),
                format_template(template, **variables),
            )
        )
