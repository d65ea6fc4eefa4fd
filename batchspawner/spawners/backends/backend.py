"""Interface of a backend, and what every backend has in common."""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from ...message import headed
from ...schedulers.base import Scheduler
from ..failures.causes import SILENT, TOO_LONG
from ..failures.job_log import EarlierLog, JobLog, read_tail, shorten
from ..failures.spawn_failure import FailureDetails, SpawnFailure
from ..failures.unreachable import unreachable
from ..hub.state_writer import until_stored
from ..progress.messages import DescribedSpawner
from ..secrets.confirmation import say_unconfirmed
from ..secrets.package import PackedSpawner
from .http_probe import probe
from .start_clock import StartClock, StartLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from traitlets import TraitType

    from ...jobs import JobInfo
    from ..progress.messages import StartDescription
    from ..server_job import JobStatus

_LATE_LOG_TIMEOUT_S = 1.5
"""Time that reading the log may take at the end of a start: JupyterHub's own limit is near."""

_LOG_TIMEOUT_S = 10.0

_PROBE_INTERVAL_S = 0.1
"""Time between two probes whether the server answers."""


class BackendSpawner(DescribedSpawner, PackedSpawner, Protocol):
    """What the backends use of a spawner: its settings, and the methods that sites override."""

    batch_cancel_cmd: str
    batch_query_cmd: str
    batch_submit_cmd: str
    exec_prefix: str
    launcher: str
    smallest_uid: int
    orphan_grace: float
    orphan_policy: str
    query_floor: float
    req_username: str
    startup_poll_interval: float
    start_timeout: int
    submit_concurrency: int

    @property
    def start_limits(self) -> StartLimits: ...

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
        self.clock = StartClock(spawner.start_limits)
        self.problem = ""
        """What keeps the Hub from a server that has reported, in a word of `http_probe`."""
        self._probing_since = 0.0

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
        """Ask the scheduler to end the job. Raises BatchError or RuntimeError."""

    @abstractmethod
    def cancels(self) -> list[Callable[[], Awaitable[None]]]:
        """Return the ways to cancel the job, also when its spawner has forgotten it."""

    @abstractmethod
    async def poll(self) -> int | None:
        """Return None while the job may live, else its exit status."""

    @abstractmethod
    async def until_serving(self) -> None:
        """Wait until the job's server can be reached. Raises SpawnFailure if it fails."""

    async def resume(self) -> None:
        """Wait for a job that an earlier Hub process had submitted, as `until_serving` does."""
        waited = time.time() - (self.spawner.job.submitted_at or time.time())
        queued = time.monotonic() - max(0.0, waited)
        self.clock = StartClock(self.spawner.start_limits, queued)
        await self.in_time(self.until_serving())

    @abstractmethod
    async def until_gone(self) -> None:
        """Wait a few seconds until a cancelled job has ended."""

    @abstractmethod
    async def run(self, *, refresh: bool = False) -> JobInfo:
        """Return the job's status: as of now if it waited when it was last asked for.

        With `refresh` the scheduler is asked now, whatever it said before.
        """

    @property
    def state_delay_s(self) -> float:
        """For how many seconds the scheduler may still say that a job waits which runs."""
        return Scheduler.state_delay_s

    @abstractmethod
    def describe(self) -> StartDescription:
        """Return how far the start has come."""

    @property
    def given_up_at(self) -> float | None:
        """When the start is given up, in seconds since the epoch; None if it is not."""
        return self.clock.at(self.clock.end)

    @property
    def running_since(self) -> float | None:
        """Since when the job was seen to run, in seconds since the epoch; None while it waits."""
        return self.clock.at(self.clock.running_since)

    async def update_estimate(self) -> None:  # noqa: B027  (optional)
        """Look up what `describe` tells besides the job's status."""

    def watch_over(self) -> None:  # noqa: B027  (optional)
        """Look after a running server from now on, beyond the polling of JupyterHub."""

    def close(self) -> None:  # noqa: B027  (optional)
        """Stop looking after the job."""

    @abstractmethod
    def is_of_this_user(self) -> bool:
        """Return whether the job runs as the user who runs the Hub."""

    def owner(self) -> int:
        """Return the id of the user whose log may be read, -1 if there is no such account."""
        if self.is_of_this_user():
            return os.getuid()
        try:
            return pwd.getpwnam(self.spawner.user.name).pw_uid
        except KeyError:
            return -1

    async def owners_log_tail(self, timeout: float) -> str:  # noqa: ARG002
        """Return the end of the job's log, read as its owner, empty if that is not possible."""
        return ""

    def job_log(self) -> JobLog:
        """Return where the job's log is, and which secrets are hidden in it."""
        job = self.spawner.job
        secrets = tuple(one for one in (self.spawner.api_token, job.tag) if one)
        return JobLog(job.log_path, EarlierLog(job.log_offset, job.log_changed_at), secrets)

    async def log_tail(self, timeout: float = _LOG_TIMEOUT_S) -> str:
        """Return the last lines of the job's log, empty if they cannot be read in time."""
        log = self.job_log()
        tail = await read_tail(log, self.owner())
        # A Hub that is not root may not enter the homes of its users.
        return tail or await asyncio.to_thread(
            shorten, await self.owners_log_tail(timeout), log.secrets
        )

    async def in_time(self, work: Coroutine[object, object, None]) -> None:
        """Do the rest of a start. Raises SpawnFailure if it takes too long."""
        try:
            await self.clock.within_limits(self._until_stored(work))
        except asyncio.TimeoutError:
            raise SpawnFailure(details=await self._late()) from None

    async def _until_stored(self, work: Coroutine[object, object, None]) -> None:
        """Do some work, and wait until the Hub's database has taken all that it has refused.

        When a start is done, JupyterHub stores it at once. If the database refuses it, the server
        has no route, and its end is not noticed.
        """
        await work
        await until_stored(self.spawner)

    async def _late(self) -> FailureDetails:
        """Return what is known of a server that has not started in time."""
        job = self.spawner.job
        if self.problem:
            return await self._unreachable()
        explanation = headed(self.clock.say_limit(), self.describe().text)
        if self.status is None or self.status.state.is_waiting:
            return FailureDetails(TOO_LONG, explanation, job.id)
        tail = await self.log_tail(_LATE_LOG_TIMEOUT_S)
        return FailureDetails(SILENT, explanation, job.id, job.log_path, tail)

    async def until_reachable(self) -> None:
        """Wait until the server answers, so that JupyterHub finds it at its first try.

        Raises SpawnFailure if it does not within the time that JupyterHub would take, which would
        only say that it never showed up; or as soon as its job has ended.
        """
        spawner, job = self.spawner, self.spawner.job
        self._probing_since = time.monotonic()
        while time.monotonic() - self._probing_since < 2 * spawner.http_timeout:
            if self.address() != (job.host, job.port):
                # Also a job that was started again while its server started has reported anew.
                spawner.ip, port = self.address()
                job.serving(spawner.ip, port)
                self._probing_since = time.monotonic()
            if not job.unconfirmed_port:
                # With internal_ssl only JupyterHub has the certificates to ask.
                self.problem = await probe(job.host, job.port, only_port=spawner.internal_ssl)
                if not self.problem:
                    return
            await self.check_alive()
            await asyncio.sleep(_PROBE_INTERVAL_S)
        raise SpawnFailure(details=await self._unreachable())

    def address(self) -> tuple[str, int]:
        """Return the host and the port of the server, as far as they are known now."""
        return self.spawner.job.reported_host or self.spawner.ip, self.spawner.port

    async def check_alive(self) -> None:  # noqa: B027  (optional)
        """Raise SpawnFailure if the job is known to have ended."""

    async def _unreachable(self) -> FailureDetails:
        spawner, job = self.spawner, self.spawner.job
        tail = await self.log_tail(_LATE_LOG_TIMEOUT_S)
        if job.unconfirmed_port:
            return FailureDetails(SILENT, say_unconfirmed(spawner), job.id, job.log_path, tail)
        return unreachable(
            self.problem or "silent",
            job,
            tail,
            cls=type(spawner).__name__,
            seconds=round(time.monotonic() - self._probing_since),
            http_timeout=spawner.http_timeout,
        )

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
