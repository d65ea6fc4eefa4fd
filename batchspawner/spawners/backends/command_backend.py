"""The backend that uses the command strings of a site's configuration.

It works as all earlier releases did: the same commands in the same order, through `run_command`,
read by the methods of the spawner.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from functools import partial
from typing import TYPE_CHECKING, cast

from ...client.batch_client import private_file_command
from ...commands import CommandResult
from ...concurrency import any_set, within
from ...errors import SchedulerError, TemplateError
from ...jobs import JobInfo, JobState
from ...message import Joined, Message
from ...schedulers import scheduler_class, scheduler_names
from ...template_mistakes import fill_template
from ...templating import names_in
from ..failures.causes import cause_of
from ..failures.job_log import JobLog, earlier_log, log_of_namesake, log_path, read_tail
from ..failures.spawn_failure import FailureDetails, SpawnFailure
from ..hub import metrics
from ..hub.jupyterhub import user_name
from ..hub.state_writer import commit_state
from ..progress.messages import StartDescription, describe_submit
from ..secrets.confirmation import until_confirmed
from ..secrets.package import pack
from ..server_job import JobStatus
from .backend import Backend, fixed_port
from .cancellation import cancel_orphan
from .command_answers import names_no_job, read_status, shown, unread_answer
from .customisations import customisations, stock_value
from .exec_prefix import check_account
from .submit_queue import Slot, shared_queue
from .unsafe_names import check_names, risky_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ...schedulers.base import Scheduler
    from ..secrets.package import Package
    from .backend import BackendSpawner

_MAX_FAILED_QUERIES = 3
"""Number of failed queries in a row after which a job that is not found counts as ended."""

_QUERY_METHOD = "query_job_status"
_QUERY = {"batch_query_cmd", _QUERY_METHOD}


class CommandBackend(Backend):
    """Backend that submits, queries and cancels one server's job by its `batch_*_cmd`."""

    def __init__(self, spawner: BackendSpawner) -> None:
        super().__init__(spawner)
        self.host = ""
        self._failed = False
        self._failed_queries = 0
        self._ended = False
        self._unread = ""
        self._slot: Slot | None = None

    async def run(self, *, refresh: bool = False) -> JobInfo:  # noqa: ARG002
        """Return whether the job runs, as of now if the last answer said that it does not."""
        spawner = self.spawner
        if not spawner.state_isrunning():
            await spawner.query_job_status()
        if not spawner.state_isrunning():
            return JobInfo(spawner.job.id, JobState.PENDING)
        host = self.host or spawner.state_gethost() or ""
        return JobInfo(spawner.job.id, JobState.RUNNING, host=host)

    def _scheduler(self) -> Scheduler | None:
        """Return the scheduler behind the commands, if its name is known."""
        name = self.spawner.scheduler_name
        return scheduler_class(name)() if name in scheduler_names() else None

    async def submit(self) -> None:
        spawner, job = self.spawner, self.spawner.job
        check_account(spawner)
        command = self._command("batch_submit_cmd")
        package = await pack(spawner, self._scheduler(), self.leave)
        job.prepared(package.claim.dump() if package.claim else {})
        commit_state(spawner)
        spawner.log.info("%s: submitting with %s", spawner.log_name, command)
        spawner.log.debug("%s: job script\n%s", spawner.log_name, package.shown)
        queue = shared_queue(spawner.scheduler_name, spawner.submit_concurrency)
        self._slot = queue.reserve(user_name(spawner))
        async with queue.turn(self._slot):
            earlier, began = await earlier_log(package.script), time.time()
            output = await self._submit(command, package)
        try:
            job_id = spawner.parse_job_id(output)
            # The saved state stays that of 1.x.
            job.submitted(job_id, log_path(package.script, job_id), *earlier)
        except Exception:
            spawner.log.exception("%s: no job id in %r", spawner.log_name, output)
            job.identified("")
        else:
            spawner.log.info("%s: submitted job %s", spawner.log_name, job_id)
            if not earlier.changed_at:
                job.found_log(*await log_of_namesake(package.script, job_id, began))
        self._count("accepted" if job.id else "refused")

    async def leave(self, folder: str, name: str, text: str) -> None:
        """Write a private file as the owner of the job. Raises SchedulerError."""
        command = self._prefixed(shlex.join(private_file_command(folder, name)))
        try:
            await self.spawner.run_command(command, input=text)
        except RuntimeError as error:
            result = CommandResult((command,), 1, "", str(error))
            raise SchedulerError("The file could not be written.", result) from error

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
            answer = await spawner.run_command(self._command("batch_query_cmd"))
        except RuntimeError as error:
            # The text of a failed query may be one that the site's expressions know.
            answer = str(error.args[0]) if error.args else ""
            self._failed = not names_no_job(answer)
        except Exception:
            spawner.log.exception("%s: the query failed", spawner.log_name)
            answer = ""
            self._failed = True
        return read_status(spawner, answer)

    async def cancel(self) -> None:
        await self._cancel(self._command("batch_cancel_cmd"))

    def cancels(self) -> list[Callable[[], Awaitable[None]]]:
        commands = []
        with contextlib.suppress(TemplateError):
            commands.append(self._command("batch_cancel_cmd"))
        stock = str(stock_value(self.spawner, "batch_cancel_cmd"))
        # What the class's own query command has seen, its own cancel command can end.
        if stock and not _QUERY & {*customisations(self.spawner)}:
            commands.append(self._prefixed(self._filled("batch_cancel_cmd", stock)))
        return [partial(self._cancel, command) for command in dict.fromkeys(commands)]

    async def _cancel(self, command: str) -> None:
        """Run a cancel command. Raises RuntimeError, except for a job that has ended."""
        try:
            await self.spawner.run_command(command)
        except RuntimeError as error:
            if not names_no_job(str(error)):
                raise

    async def poll(self) -> int | None:
        if not await self._is_gone():
            return None
        await self._forget()
        return 1

    async def _forget(self) -> None:
        """Forget a job that is not found, and cancel it if no answer says that it has ended."""
        spawner, job = self.spawner, self.spawner.job
        if job.id and not self._ended and _QUERY_METHOD not in customisations(spawner):
            self._unread = unread_answer(job.native_status, failed=self._failed)
        if self._unread:
            spawner.log.warning(
                "%s: job %s is given up. %s", spawner.log_name, job.id, self._unread
            )
            # Where no server has been there is nothing to lose.
            grace_s = spawner.orphan_grace if job.port else 0.0
            await cancel_orphan(spawner, self.cancels(), grace_s)
        spawner.clear_state()

    async def until_serving(self) -> None:
        """Wait until the job runs, and then until its server has reported a port."""
        spawner, job = self.spawner, self.spawner.job
        while not await self._is_running():
            await asyncio.sleep(spawner.startup_poll_interval)
        self.clock.note_running(runs=True)
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
        if job.reported_port:
            await self.until_reachable()

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

    def describe(self) -> StartDescription:
        spawner = self.spawner
        if not spawner.job.id:
            return describe_submit(self._slot.ahead if self._slot else 0)
        try:
            if spawner.state_ispending():
                return StartDescription(20, "waiting", Message("Pending in queue..."))
            if spawner.state_isrunning():
                text = Message("Cluster job running... waiting to connect")
                return StartDescription(60, "running", text, host=self.host)
        except Exception:
            spawner.log.exception("%s: cannot read the job's state", spawner.log_name)
        return StartDescription(10, "other", Message("Unknown status..."))

    def is_of_this_user(self) -> bool:
        return not self.spawner.exec_prefix.strip()

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
                shown(job.native_status),
            )
            job_id, log = job.id, self.job_log()
            await self._forget()
            raise await self._failure(
                Message(
                    "The Jupyter batch job has disappeared while pending in the queue or died "
                    "immediately after starting."
                ),
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
        await any_set([self.spawner.job.report], self.spawner.startup_poll_interval)

    async def _failure(self, explanation: str, job_id: str, log: JobLog) -> SpawnFailure:
        """Return the failure of a job about which only its log says more."""
        tail = await read_tail(log, self.owner())
        cause = cause_of(JobInfo(job_id, JobState.FAILED), tail)
        explanation = Joined(" ", [text for text in (explanation, self._unread) if text])
        return SpawnFailure(details=FailureDetails(cause, explanation, job_id, log.path, tail))

    def _command(self, trait: str) -> str:
        """Return a command line of the configuration. Raises TemplateError."""
        setting = f"c.{type(self.spawner).__name__}.{trait}"
        return self._prefixed(self._filled(setting, getattr(self.spawner, trait)))

    def _prefixed(self, command: str) -> str:
        """Return a command line with `exec_prefix` before it. Raises TemplateError."""
        return f"{self._filled('exec_prefix', self.spawner.exec_prefix)} {command}"

    def _filled(self, setting: str, template: str) -> str:
        """Return a template with its variables; `setting` names it in errors."""
        variables = self.spawner.get_req_subvars()
        variables["job_id"] = self.spawner.job.id
        names = risky_names(self.spawner)
        if names:
            check_names(names, variables, names_in(template), f"the command {template!r}")
        return fill_template(setting, template, variables)
