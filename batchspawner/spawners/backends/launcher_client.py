"""A client of a scheduler that works through the launcher, which root has installed.

The launcher (`batchspawner.launcher`) runs as the owner of the jobs, and only submits, cancels,
signals and shows logs. All listings run as the Hub's own user.
"""

from __future__ import annotations

import contextlib
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
"""Beginning of the launcher's own messages."""

_LAUNCHER_TIMEOUT_S = 60.0
"""Time to wait for the launcher, which ends its own commands before that."""

# Exit statuses of the launcher.
_NOT_IN_THE_QUEUE = 69
_NO_ANSWER = 75
_REFUSALS = {_NOT_IN_THE_QUEUE, 77, 78}


class LauncherClient(BatchClient):
    """Client that submits, cancels and signals one user's jobs through the launcher.

    `launcher` is its path; `runner` runs it as the user, such as by ``sudo -n -u ada``;
    `query_runner` lists everybody's jobs as the Hub's own user.
    """

    def __init__(
        self, scheduler: Scheduler, launcher: str, owner: str, runner: Runner, query_runner: Runner
    ) -> None:
        super().__init__(scheduler, query_runner, owner=owner)
        self._launcher = launcher
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
        return self._own(await self.tagged(), tag)

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

    async def log_before(self) -> tuple[int, float]:
        # Mostly, there is no log yet.
        with contextlib.suppress(SchedulerError, ValueError, KeyError, TypeError):
            result = await self._launch(_LAUNCHER_TIMEOUT_S, verb="stat-log")
            found = json.loads(result.stdout) if result.ok else {}
            return int(found["size"]), float(found["changed_at"])
        return 0, 0.0

    async def log_tail(self, job_id: str, size: int = 0, changed_at: float = 0.0) -> str:
        """Return the end of a job's log. Raises SchedulerError if there is no log to show."""
        request = {"verb": "tail-log", "job_id": self.scheduler.checked(job_id)}
        before = {"size": size, "changed_at": changed_at} if changed_at else {}
        result = await self._launch(_LAUNCHER_TIMEOUT_S, **request, **before)
        if not result.ok:
            raise SchedulerError(f"The log of job {job_id} cannot be shown.", result)
        return result.stdout

    async def _launch(self, timeout: float, **request: object) -> CommandResult:
        """Send a request to the launcher, and return what it or the scheduler's command printed."""
        text = json.dumps(request)
        result = await self._as_owner.run(
            (self._launcher,), input=text, timeout=max(timeout, _LAUNCHER_TIMEOUT_S)
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
        """Return who refused a request, empty if nobody did."""
        if result.returncode in _REFUSALS and _LAUNCHER in result.stderr:
            return "The launcher refused it."
        if result.returncode == 1 and result.stderr.startswith("sudo: "):
            return (
                f"sudo does not let the Hub run {self._launcher} as {self._owner}, who may not be "
                "in the group of the rule; `batchspawner sudoers` prints it."
            )
        return ""
