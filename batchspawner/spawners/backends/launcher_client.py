"""Speak with a scheduler through the launcher that root has installed.

The launcher (`batchspawner.launcher`) runs as the owner of the jobs, and only submits, cancels,
signals and shows logs. All listings are made as ourselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from ...client.batch_client import BatchClient
from ...errors import SchedulerError, SchedulerUnavailable, SubmitError

if TYPE_CHECKING:
    from ...commands import Command, CommandResult
    from ...jobs import JobRequest
    from ...runners import Runner
    from ...schedulers.base import Scheduler

T = TypeVar("T")

_LAUNCHER = "batchspawner-launcher: "
"""What begins a line that the launcher says itself."""

_LONGEST = 60.0
"""Seconds to wait for the launcher, which ends its commands before."""

# Exit statuses of the launcher.
_NOT_IN_THE_QUEUE = 69
_NO_ANSWER = 75
_REFUSALS = {_NOT_IN_THE_QUEUE, 77, 78}


class LauncherClient(BatchClient):
    """Submit, cancel and signal one user's jobs through the launcher.

    `launcher` is its path, `runner` becomes the user, such as by ``sudo -n -u ada``;
    `query_runner` lists everybody's jobs as ourselves.
    """

    def __init__(
        self, scheduler: Scheduler, launcher: str, owner: str, runner: Runner, query_runner: Runner
    ) -> None:
        super().__init__(scheduler, query_runner)
        self._launcher = launcher
        self._owner = owner
        self._as_owner = runner
        self._files: dict[str, str] = {}

    async def _submit_once(self, request: JobRequest) -> str:
        if request.arguments:
            raise SubmitError(
                f"The launcher fixes the submit command: {request.arguments} cannot be added."
            )
        call = self.scheduler.submit(request)
        result = await self._launch(
            call.timeout,
            verb="submit",
            tag=request.tag,
            script=request.script,
            environment=dict(request.environment),
            files=self._files,
        )
        refused = self._refused(result)
        if refused:
            # Without the result, whose words would be taken for the scheduler's.
            raise SubmitError(f"{refused} {result.text}")
        return call.parse(result)

    async def leave(self, folder: str, name: str, text: str) -> None:
        """Write a private file of the jobs' owner, together with the next submit.

        The launcher refuses any folder but ``.batchspawner`` in the owner's home.
        """
        self._files = {f"{folder}/{name}": text}

    async def find(self, tag: str) -> list[str]:
        # The listing is everybody's; what is done to a job because of it, the launcher checks.
        return [
            job.job_id
            for job in await self.tagged()
            if job.owner == self._owner and tag in job.text.split("|")
        ]

    async def cancel(self, job_id: str) -> None:
        call = self.scheduler.cancel(job_id)
        result = await self._launch(call.timeout, verb="cancel", job_id=job_id)
        if result.returncode != _NOT_IN_THE_QUEUE or not self._refused(result):
            self._read(call, result)

    async def signal(self, job_id: str, number: int) -> None:
        call = self.scheduler.signal(job_id, number)
        self._read(
            call, await self._launch(call.timeout, verb="signal", job_id=job_id, signal=number)
        )

    async def log_tail(self, job_id: str) -> str:
        """Return the end of a job's log. Raises SchedulerError where there is none to show."""
        checked = self.scheduler.checked(job_id)
        result = await self._launch(_LONGEST, verb="tail-log", job_id=checked)
        if not result.ok:
            raise SchedulerError(f"The log of job {job_id} cannot be shown.", result)
        return result.stdout

    async def _launch(self, timeout: float, **request: object) -> CommandResult:
        """Hand a request to the launcher, and return what it or the scheduler's command said."""
        text = json.dumps(request)
        result = await self._as_owner.run(
            (self._launcher,), input=text, timeout=max(timeout, _LONGEST)
        )
        if result.returncode == _NO_ANSWER and _LAUNCHER in result.stderr:
            raise SchedulerUnavailable(f"{self.scheduler.title} did not answer.", result)
        return result

    def _read(self, call: Command[T], result: CommandResult) -> T:
        refused = self._refused(result)
        if refused:
            raise SchedulerError(refused, result)
        return call.parse(result)

    def _refused(self, result: CommandResult) -> str:
        """Return who refused a request, and empty text where nobody did."""
        if result.returncode in _REFUSALS and _LAUNCHER in result.stderr:
            return "The launcher refused it."
        if result.returncode == 1 and result.stderr.startswith("sudo: "):
            return (
                f"sudo does not let the Hub run {self._launcher} as {self._owner}, who may not be "
                "in the group of the rule; `batchspawner sudoers` prints it."
            )
        return ""
