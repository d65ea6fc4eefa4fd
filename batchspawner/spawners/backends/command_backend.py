"""Speak with a scheduler by the command strings of a site's configuration.

This is the way of all earlier releases, kept as it was: the same commands in the same order,
through `run_command`, read by the methods of the spawner.
"""

from __future__ import annotations

import asyncio
import pwd
import re
from typing import TYPE_CHECKING, Any

from ...concurrency import within
from ...jobs import JobInfo, JobState
from ...schedulers import scheduler_class, scheduler_names
from ...templating import format_template, names_in
from ..failures.causes import cause_of
from ..failures.job_log import JobLog, log_of, log_path, note_beginning, read_tail
from ..failures.spawn_failure import SpawnFailure, Story
from ..hub import metrics
from ..hub.state import JobStatus, commit_state
from ..progress.messages import describe_submit
from ..secrets.confirmation import until_confirmed
from ..secrets.package import pack
from .names import check_names, risky_names
from .submit_queue import Slot, shared_gate

if TYPE_CHECKING:
    from ...schedulers.base import Scheduler
    from ..secrets.package import Package

_LOOK = 0.2
"""Seconds between two looks at what the last query said."""

_DOUBTS = 3
"""How often a query command must have failed in a row before its silence means an end."""

_NO_SUCH_JOB = re.compile(
    r"invalid job id|unknown job|unknown jobid|does not exist|do not exist|not found|no such job",
    re.IGNORECASE,
)


class CommandBackend:
    """Submit, query and cancel one spawner's job by its `batch_*_cmd`."""

    def __init__(self, spawner: Any) -> None:
        self.spawner = spawner
        self.host = ""
        self._failed = False
        self._doubts = 0
        self._ticket: Slot | None = None

    status = None
    """Nothing but the text of the last query, in `job_status`, is known of the job."""

    def close(self) -> None:
        """Let go of nothing: there is no watch."""

    async def run(self, *, news: bool = False) -> JobInfo:  # noqa: ARG002
        """Return that the job runs, once the last answer to a query says so."""
        spawner = self.spawner
        while not spawner.state_isrunning():
            await asyncio.sleep(_LOOK)
        return JobInfo(
            spawner.job_id, JobState.RUNNING, host=self.host or spawner.state_gethost() or ""
        )

    def _scheduler(self) -> Scheduler | None:
        """Return the scheduler behind the commands, where its name is known."""
        name = self.spawner.scheduler_name
        return scheduler_class(name)() if name in scheduler_names() else None

    def keep(self) -> None:
        """Leave a running server to the polling of JupyterHub."""

    async def submit(self) -> None:
        spawner = self.spawner
        command = self._command(spawner.batch_submit_cmd)
        package = await pack(spawner, self._scheduler())
        spawner.job_claim = package.claim.dump() if package.claim else {}
        commit_state(spawner)
        spawner.log.info("%s: submitting with %s", spawner._log_name, command)
        spawner.log.debug("%s: job script\n%s", spawner._log_name, package.shown)
        gate = shared_gate(spawner.scheduler_name, spawner.submit_concurrency)
        self._ticket = gate.ticket(spawner.user.name)
        async with gate.entered(self._ticket):
            output = await self._hand_over(command, package)
        try:
            spawner.job_id = spawner.parse_job_id(output)
        except Exception:
            spawner.log.exception("%s: no job id in %r", spawner._log_name, output)
            spawner.job_id = ""
        else:
            spawner.job_log = log_path(package.script, spawner.job_id)
            spawner.log.info("%s: submitted job %s", spawner._log_name, spawner.job_id)
        self._count("accepted" if spawner.job_id else "refused")

    async def _hand_over(self, command: str, package: Package) -> Any:
        await note_beginning(self.spawner, package.script)
        limit = self.spawner.start_timeout
        work = self.spawner.run_command(command, input=package.script, env=package.environment)
        try:
            # Nobody waits longer for its server, but others may wait for its place at the gate.
            return await within(limit, work)
        except asyncio.TimeoutError:
            self._count("no_answer")
            text = f"The submit command did not end within {limit} s, and was ended: {command}"
            raise RuntimeError(text) from None
        except Exception:
            self._count("refused")
            raise

    async def query(self) -> JobStatus:
        spawner = self.spawner
        self._failed = False
        if not spawner.job_id:
            spawner.job_status = ""
            return JobStatus.NOTFOUND
        try:
            spawner.job_status = await spawner.run_command(self._command(spawner.batch_query_cmd))
        except RuntimeError as error:
            # The text of a failed query may be one that the site's expressions know.
            spawner.job_status = str(error.args[0]) if error.args else ""
            self._failed = not _NO_SUCH_JOB.search(spawner.job_status)
        except Exception:
            spawner.log.exception("%s: the query failed", spawner._log_name)
            spawner.job_status = ""
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
        spawner = self.spawner
        while not await self._is_running():
            await asyncio.sleep(spawner.startup_poll_interval)
        spawner.ip = self.host = spawner.reported_host or spawner.state_gethost()
        while spawner.port == 0:
            await self._pause()
            if hasattr(spawner, "mock_port"):
                spawner.port = spawner.mock_port
            known = self._known()
            if await spawner.poll() is not None:
                raise await self._failure(
                    "The Jupyter batch job started but died before launching the "
                    "single-user server.",
                    *known,
                )
        await until_confirmed(spawner)
        spawner.job_host, spawner.job_port = spawner.ip or "", spawner.port

    async def resume(self) -> None:
        """Wait for a job that an earlier Hub process had started; RuntimeError where it failed."""
        await within(self.spawner.start_timeout, self.until_serving())

    async def until_gone(self) -> None:
        spawner = self.spawner
        for _ in range(10):
            if await spawner.query_job_status() not in (JobStatus.RUNNING, JobStatus.UNKNOWN):
                return
            await asyncio.sleep(1)
        spawner.log.warning(
            "%s: job %s still runs 10 s after it was cancelled", spawner._log_name, spawner.job_id
        )

    def describe(self) -> tuple[int, str]:
        """Return a percentage and a sentence about how far the start has come."""
        spawner = self.spawner
        if not spawner.job_id:
            return 0, describe_submit(self._ticket.ahead if self._ticket else 0)
        try:
            if spawner.state_ispending():
                return 20, "Pending in queue..."
            if spawner.state_isrunning():
                return 60, "Cluster job running... waiting to connect"
        except Exception:
            spawner.log.exception("%s: cannot read the job's state", spawner._log_name)
        return 10, "Unknown status..."

    def owner(self) -> int:
        """Return the id of the user whose log may be read: the server's, or nobody's."""
        try:
            return pwd.getpwnam(self.spawner.user.name).pw_uid
        except KeyError:
            return -1

    async def log_tail(self, patience: float) -> str:  # noqa: ARG002
        """Return nothing: the site's commands show no logs."""
        return ""

    async def look_around(self) -> None:
        """Learn nothing more: the site's commands tell no more than the job's state."""

    async def _is_running(self) -> bool:
        spawner = self.spawner
        status = await spawner.query_job_status()
        if status is not JobStatus.NOTFOUND:
            self._doubts = 0
        elif not self._is_doubtful():
            spawner.log.warning(
                "%s: job %s is neither pending nor running: %s",
                spawner._log_name,
                spawner.job_id,
                spawner.job_status,
            )
            known = self._known()
            spawner.clear_state()
            raise await self._failure(
                "The Jupyter batch job has disappeared while pending in the queue or died "
                "immediately after starting.",
                *known,
            )
        return bool(status is JobStatus.RUNNING)

    async def _is_gone(self) -> bool:
        if await self.spawner.query_job_status() is not JobStatus.NOTFOUND:
            self._doubts = 0
            return False
        return not self._is_doubtful()

    def _count(self, outcome: str) -> None:
        metrics.SUBMITS.labels(scheduler=self.spawner.scheduler_name, outcome=outcome).inc()

    def _is_doubtful(self) -> bool:
        """Tell whether "not found" may only mean that the command failed this once."""
        if not self._failed or not self.spawner.job_id:
            return False
        self._doubts += 1
        return self._doubts < _DOUBTS

    async def _pause(self) -> None:
        """Wait for the next query, or less when the job reports."""
        report = asyncio.ensure_future(self.spawner.report.wait())
        await asyncio.wait([report], timeout=self.spawner.startup_poll_interval)
        report.cancel()

    def _known(self) -> tuple[str, JobLog]:
        """Return the job and its log: its end clears both."""
        return self.spawner.job_id, log_of(self.spawner)

    async def _failure(self, said: str, job_id: str, log: JobLog) -> SpawnFailure:
        """Return the failure of a job of which no more is known than what it wrote."""
        tail = await read_tail(log, self.owner())
        cause = cause_of(JobInfo(job_id, JobState.FAILED), tail)
        return SpawnFailure(story=Story(cause, said, job_id, log.path, tail))

    def _command(self, template: str) -> str:
        variables = self.spawner.get_req_subvars()
        variables["job_id"] = self.spawner.job_id
        names = risky_names(self.spawner)
        for one in (self.spawner.exec_prefix, template) if names else ():
            check_names(names, variables, names_in(one), f"the command {one!r}")
        return " ".join(
            (
                format_template(self.spawner.exec_prefix, **variables),
                format_template(template, **variables),
            )
        )
