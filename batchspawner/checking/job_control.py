"""Submit, query and cancel of the test job, as the Hub does it for a server."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..concurrency import within
from ..errors import SchedulerError, in_words
from ..jobs import JobInfo, JobRequest, JobState
from ..schedulers import scheduler_class, scheduler_names
from ..template_mistakes import fill_template
from .findings import Finding, ok, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..client.batch_client import BatchClient
    from ..client.watch import Watch
    from ..schedulers.base import Scheduler
    from ..spawners.backends.backend import BackendSpawner
    from ..spawners.backends.command_backend import CommandBackend
    from ..spawners.secrets.package import Leave
    from .configuration import CheckedSpawner

_END_TIMEOUT_S = 20.0
_USER_COMMAND_TIMEOUT_S = 5.0
_MAX_NOT_FOUND = 3
"""Number of answers in a row without the job after which it counts as ended."""


class JobControl(Protocol):
    """One test job. Every method that runs a command raises SchedulerError."""

    title: str
    scheduler: Scheduler | None
    leave: Leave
    names_log: bool
    """Whether the job may write its log to a file of our choice, which we read and remove."""

    async def submit(self, script: str, environment: Mapping[str, str], name: str) -> str:
        """Submit the job and return its id."""

    async def status(self) -> JobInfo | None:
        """Return what is known of the job, None if that is nothing yet."""

    async def cancel(self) -> None:
        """Cancel the job and wait for its end. Raises asyncio.TimeoutError if it does not end."""

    async def read_file(self, path: str) -> str:
        """Return the text of a file of the job's owner, empty if it cannot be read."""

    async def remove_file(self, path: str) -> None:
        """Remove a file of the job's owner."""

    def close(self) -> None:
        """Stop following the job."""


class SchedulerControl:
    """The test job by the scheduler layer of this package."""

    names_log = True

    def __init__(self, client: BatchClient) -> None:
        self.client = client
        self.scheduler: Scheduler | None = client.scheduler
        self.title = client.scheduler.title
        self.leave: Leave = client.leave
        self._job_id = ""
        self._watch: Watch | None = None

    async def submit(self, script: str, environment: Mapping[str, str], name: str) -> str:
        self._job_id = await self.client.submit(JobRequest(script, name, environment))
        self._watch = self.client.watch(self._job_id, 0.5)
        return self._job_id

    async def status(self) -> JobInfo | None:
        return self._watch.status if self._watch else None

    async def cancel(self) -> None:
        await self.client.cancel(self._job_id)
        await within(_END_TIMEOUT_S, self.client.wait(self._job_id, 0.5))

    async def read_file(self, path: str) -> str:
        text = _own_file(path)
        if text or self.client.runner.is_this_user:
            return text
        with contextlib.suppress(SchedulerError):
            result = await self.client.runner.run(("cat", path), timeout=_USER_COMMAND_TIMEOUT_S)
            return result.stdout if result.ok else ""
        return ""

    async def remove_file(self, path: str) -> None:
        if self.client.runner.is_this_user:
            with contextlib.suppress(OSError):
                Path(path).unlink()
            return
        with contextlib.suppress(SchedulerError):
            await self.client.runner.run(("rm", "-f", path), timeout=_USER_COMMAND_TIMEOUT_S)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()


class LauncherControl(SchedulerControl):
    """The test job through the launcher, which shows the log of a job only where servers log."""

    names_log = False
    _earlier = (0, 0.0)

    async def submit(self, script: str, environment: Mapping[str, str], name: str) -> str:
        from ..spawners.failures.job_log import earlier_log

        self._earlier = await earlier_log(script, self.client.log_before)
        return await super().submit(script, environment, name)

    async def read_file(self, path: str) -> str:  # noqa: ARG002  (the launcher knows the place)
        with contextlib.suppress(SchedulerError):
            return await self.client.log_tail(self._job_id, *self._earlier)
        return ""

    async def remove_file(self, path: str) -> None:
        """Leave the file: the launcher removes none."""


class CommandControl:
    """The test job by the commands of the configuration, and by what reads their answers.

    `answer` is what the query command has printed while the job was followed.
    """

    names_log = True

    def __init__(self, spawner: CheckedSpawner, backend: CommandBackend) -> None:
        self.spawner = cast("BackendSpawner", spawner)
        self.section = type(spawner).__name__
        name = spawner.scheduler_name
        self.scheduler = scheduler_class(name)() if name in scheduler_names() else None
        self.title = self.scheduler.title if self.scheduler else self.section
        self.leave: Leave = backend.leave
        self.answer = ""
        self._backend = backend
        self._not_found = 0

    async def submit(
        self,
        script: str,  # noqa: ARG002  (the backend renders the same one)
        environment: Mapping[str, str],  # noqa: ARG002
        name: str,  # noqa: ARG002
    ) -> str:
        try:
            await self._backend.submit()
        except Exception as error:
            raise SchedulerError(in_words(error)) from error
        job_id = self.spawner.job.id
        if not job_id:
            text = f"{self.section}.parse_job_id finds no id in what batch_submit_cmd printed"
            raise SchedulerError(text)
        return job_id

    async def status(self) -> JobInfo | None:
        from ..spawners.server_job import JobStatus

        job_id = self.spawner.job.id
        try:
            status = await self.spawner.query_job_status()
            self.answer = self.spawner.job.native_status
            if status is JobStatus.RUNNING:
                host = self.spawner.state_gethost() or ""
                return JobInfo(job_id, JobState.RUNNING, host=host)
        except Exception as error:
            raise SchedulerError(in_words(error)) from error
        if status is JobStatus.PENDING:
            return JobInfo(job_id, JobState.PENDING)
        if status is JobStatus.UNKNOWN:
            return None
        self._not_found += 1
        if self._not_found < _MAX_NOT_FOUND:
            return None
        native = f"neither pending nor running by what batch_query_cmd printed: {self.answer!r}"
        return JobInfo(job_id, JobState.UNKNOWN, native, gone=True)

    async def cancel(self) -> None:
        from ..spawners.server_job import JobStatus

        try:
            await self._backend.cancel()
            await within(_END_TIMEOUT_S, self._backend.until_gone())
            status = await self.spawner.query_job_status()
        except asyncio.TimeoutError:
            raise
        except Exception as error:
            raise SchedulerError(in_words(error)) from error
        if status in (JobStatus.RUNNING, JobStatus.PENDING):
            raise asyncio.TimeoutError

    async def read_file(self, path: str) -> str:
        return _own_file(path) or await self._run(f"cat {shlex.quote(path)} 2>/dev/null || :")

    async def remove_file(self, path: str) -> None:
        await self._run(f"rm -f {shlex.quote(path)}")

    async def _run(self, command: str) -> str:
        """Run a command as the commands of the configuration are run; return what it printed."""
        spawner = self.spawner
        try:
            variables = spawner.get_req_subvars()
            prefix = fill_template("exec_prefix", spawner.exec_prefix, variables)
            work = spawner.run_command(f"{prefix} {command}")
            return str(await within(_USER_COMMAND_TIMEOUT_S, work))
        except Exception:  # noqa: BLE001  (run_command may be a site's own)
            return ""

    def close(self) -> None:
        """Nothing follows the job."""

    def reasons(self) -> Finding:
        """Return the finding why the commands of the configuration are used."""
        from ..spawners.backends.customisations import customisations

        if self.scheduler is None:
            text = (
                f"{self.section} has commands of its own (batch_submit_cmd, batch_query_cmd, "
                "batch_cancel_cmd)"
            )
            return ok("commands", text)
        own = [f"c.{self.section}.{name}" for name in customisations(self.spawner)]
        because = ", ".join(own) or f"c.{self.section}.exec_prefix, which only a shell can read"
        return warning(
            "commands",
            f"the commands of the configuration are used because of {because}. Without that, one "
            "query serves all users, a job is found again if its submit got no answer, and people "
            "read why a job waits or has failed",
        )


def _own_file(path: str) -> str:
    """Return the text of a file, empty if this user cannot read it."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
