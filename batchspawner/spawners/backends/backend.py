"""Interface of a backend, and what every backend has in common."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from ...concurrency import within
from ..failures.causes import SILENT, TOO_LONG
from ..failures.job_log import JobLog, read_tail, shorten
from ..failures.spawn_failure import FailureDetails, SpawnFailure
from ..progress.messages import DescribedSpawner
from ..secrets.package import PackedSpawner

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from traitlets import TraitType

    from ...jobs import JobInfo
    from ..server_job import JobStatus

_MARGIN_S = 2.0
"""Time by which a start ends before JupyterHub's own limit; less if that limit is short."""

_LATE_LOG_TIMEOUT_S = 1.5
"""Time that reading the log may take at the end of a start: JupyterHub's own limit is near."""

_LOG_TIMEOUT_S = 10.0


class BackendSpawner(DescribedSpawner, PackedSpawner, Protocol):
    """What the backends use of a spawner: its settings, and the methods that sites override."""

    batch_cancel_cmd: str
    batch_query_cmd: str
    batch_submit_cmd: str
    exec_prefix: str
    launcher: str
    orphan_grace: float
    orphan_policy: str
    query_floor: float
    req_username: str
    startup_poll_interval: float
    submit_concurrency: int

    def traits(self) -> dict[str, TraitType[Any, Any]]: ...

    def get_req_subvars(self) -> dict[str, Any]: ...

    def parse_job_id(self, output: str) -> str: ...

    async def run_command(
        self,
        cmd: str,
        input: str | None = None,  # noqa: A002
        env: dict[str, str] | None = None,
    ) -> str: ...

    async def query_job_status(self) -> JobStatus: ...

    async def poll(self) -> int | None: ...

    def clear_state(self) -> None: ...

    def state_ispending(self) -> object: ...

    def state_isrunning(self) -> object: ...

    def state_isunknown(self) -> object: ...

    def state_gethost(self) -> str | None: ...

    def connect_host(self, host: str) -> str: ...


class Backend(ABC):
    """Connection of one server to a scheduler."""

    def __init__(self, spawner: BackendSpawner) -> None:
        self.spawner = spawner

    @property
    def status(self) -> JobInfo | None:
        """Last status of the job, None if only the text in `job_status` is known."""
        return None

    @abstractmethod
    async def submit(self) -> None:
        """Submit the job. Raises SpawnFailure or RuntimeError if it was not accepted."""

    @abstractmethod
    async def query(self) -> JobStatus:
        """Return what is known about the job."""

    @abstractmethod
    async def cancel(self) -> None:
        """Ask the scheduler to end the job. Raises SchedulerError or RuntimeError."""

    @abstractmethod
    async def poll(self) -> int | None:
        """Return None while the job may live, else its exit status."""

    @abstractmethod
    async def until_serving(self) -> None:
        """Wait until the job's server can be reached. Raises SpawnFailure if it fails."""

    @abstractmethod
    async def resume(self) -> None:
        """Wait for a job that an earlier Hub process had submitted, as `until_serving` does."""

    @abstractmethod
    async def until_gone(self) -> None:
        """Wait a few seconds until a cancelled job has ended."""

    @abstractmethod
    async def run(self, *, refresh: bool = False) -> JobInfo:
        """Return the job's status once it does not wait any more.

        With `refresh` the scheduler is asked now, whatever it said before.
        """

    @abstractmethod
    def describe(self) -> tuple[int, str]:
        """Return a percentage and a sentence about how far the start has come."""

    async def update_estimate(self) -> None:  # noqa: B027  (optional)
        """Look up what `describe` tells besides the job's status."""

    def watch_over(self) -> None:  # noqa: B027  (optional)
        """Look after a running server from now on, beyond the polling of JupyterHub."""

    def close(self) -> None:  # noqa: B027  (optional)
        """Stop looking after the job."""

    @abstractmethod
    def owner(self) -> int:
        """Return the id of the user whose log may be read, -1 for nobody."""

    async def owners_log_tail(self, timeout: float) -> str:  # noqa: ARG002
        """Return the end of the job's log, read as its owner, empty if that is not possible."""
        return ""

    def job_log(self) -> JobLog:
        """Return where the job's log is, and which secrets are hidden in it."""
        job = self.spawner.job
        secrets = tuple(one for one in (self.spawner.api_token, job.tag) if one)
        return JobLog(job.log_path, job.log_offset, secrets)

    async def log_tail(self, timeout: float = _LOG_TIMEOUT_S) -> str:
        """Return the last lines of the job's log, empty if they cannot be read in time."""
        log = self.job_log()
        tail = await read_tail(log, self.owner())
        # A Hub that is not root may not enter the homes of its users.
        return tail or shorten(await self.owners_log_tail(timeout), log.secrets)

    async def until_serving_in_time(self, began: float) -> None:
        """Wait for the server until shortly before JupyterHub gives up.

        So the failure says what the start was waiting for. `began` is when the start began, on the
        clock of `time.monotonic`. Raises SpawnFailure.
        """
        limit = self.spawner.start_timeout
        left = limit - min(_MARGIN_S, limit / 10) - (time.monotonic() - began)
        await self._within(max(0.0, left), self.until_serving())

    async def _within(self, seconds: float, work: Coroutine[object, object, None]) -> None:
        """Do the rest of a start. Raises SpawnFailure if it takes too long."""
        try:
            await within(seconds, work)
        except asyncio.TimeoutError:
            raise SpawnFailure(details=await self._late()) from None

    async def _late(self) -> FailureDetails:
        """Return what is known of a server that has not started in time."""
        spawner, job = self.spawner, self.spawner.job
        _, message = self.describe()
        explanation = f"After {spawner.start_timeout} s, the limit of this Hub: {message}."
        if self.status is None or self.status.state.is_waiting:
            return FailureDetails(TOO_LONG, explanation, job.id)
        tail = await self.log_tail(_LATE_LOG_TIMEOUT_S)
        return FailureDetails(SILENT, explanation, job.id, job.log_path, tail)

    def _api_url(self) -> str:
        """Return the address of the Hub as the job has it in its environment."""
        environment: Mapping[str, str] = self.spawner.get_env()
        return environment.get("JUPYTERHUB_API_URL", "")


def fixed_port(spawner: BackendSpawner) -> int:
    """Return the port of a server that does not report one, 0 if it does.

    Subclasses for batchspawner 1.x, and their tests, set it as the attribute `mock_port`.
    """
    port: int = getattr(spawner, "mock_port", 0)
    return port
