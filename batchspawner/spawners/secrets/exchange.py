"""The exchange of a job's claim code for the secrets of its server."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from jupyterhub import orm

from ...concurrency import in_background, within
from ...message import Message
from ..hub import metrics
from ..hub.database import session_of
from ..hub.jupyterhub import JobSpawner, hub_spawner
from ..hub.state_writer import commit_state
from .certificates import CERTIFICATES, CertifiedSpawner, are_ours, server_certificate
from .claim import Application, Claim
from .package import TOKEN

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ...jobs import JobInfo
    from ...private_environment import PrivateEnvironment

_SCHEDULER_TIMEOUT_S = 8.0
"""Time that a claim waits for the scheduler: less than the wrapper waits for an answer."""


_ID_TIMEOUT_S = 1.5
"""Time that a claim waits for the answer to the submit: also that is within the wrapper's time."""

_ID_INTERVAL_S = 0.1
"""Time between two looks whether that answer has come."""

_EARLY_PAUSE_S = 3.0
"""Time after an early claim for which nobody gets anything, so that a second claimant is seen."""


class RunningBackend(Protocol):
    """Backend that can find out whether the job runs."""

    @property
    def state_delay_s(self) -> float: ...

    async def run(self, *, refresh: bool = False) -> JobInfo: ...


class ClaimingSpawner(CertifiedSpawner, JobSpawner, Protocol):
    """What the exchange uses of a spawner."""

    accept_older_wrapper: bool
    claim_from: str
    confirm_server: bool
    second_claim: str

    @property
    def backend(self) -> RunningBackend: ...

    def connect_host(self, host: str) -> str: ...

    def receive_report(
        self, port: int, host: str = "", *, confirms: bool = False
    ) -> Awaitable[object]: ...

    def receive_confirmation(self, port: int) -> Awaitable[object]: ...

    async def cancel_batch_job(self) -> None: ...


class ClaimRefused(Exception):
    """Reason why a code is not exchanged; with status 503 trying again can help."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


async def exchange(spawner: ClaimingSpawner, application: Application) -> PrivateEnvironment:
    """Record where a job's server will listen, and return its secrets.

    Raises ClaimRefused if the code is not valid, or not now.
    """
    claim, status = await _claimed(spawner, application)
    if spawner.confirm_server and not application.confirms:
        raise ClaimRefused("a job has to confirm its server here, and this one does not")
    spawner.job.claimed(claim.use(application, status.start).dump())
    await spawner.receive_report(application.port, application.host, confirms=application.confirms)
    environment = claim.environment(application.code)
    if are_ours(spawner):
        environment[CERTIFICATES] = await server_certificate(spawner, _host(spawner, status))
    return environment


async def promote(spawner: ClaimingSpawner, application: Application) -> None:
    """Turn a code into the token of the server, for an older wrapper, which knows no claims.

    It has no other token to give to the server that it starts. Raises ClaimRefused.
    """
    claim, status = await _claimed(spawner, application)
    old = f"the batchspawner-singleuser in job {spawner.job.id} is of an older release"
    if not spawner.accept_older_wrapper:
        raise ClaimRefused(f"{old}, and accept_older_wrapper is False")
    session = session_of(spawner.orm_spawner)
    token = claim.environment(application.code)[TOKEN]
    if session is None or (row := orm.APIToken.find(session, token)) is None:
        raise ClaimRefused("the token behind this code is no longer valid")
    row.token = application.code
    # At the end of any request, JupyterHub rolls back what is changed in its session by then.
    session.commit()
    spawner.api_token = hub_spawner(spawner).api_token = application.code
    used = claim.use(replace(application, claimant=application.code), status.start)
    spawner.job.claimed(used.dump())
    await spawner.receive_report(application.port, application.host)
    spawner.log.warning(
        "%s: %s, so what was to be good for one use is its token now, and nothing confirms who "
        "answers. Install this release where the jobs run, and set accept_older_wrapper to False",
        spawner.log_name,
        old,
    )


async def _claimed(spawner: ClaimingSpawner, application: Application) -> tuple[Claim, JobInfo]:
    """Return the claim, valid for this application, and the status of the job that claims.

    Nothing may be awaited between this and the record that the code is used now.
    """
    status = await _checked(spawner, application)
    claim = _usable(_claim(spawner, application), application, status)
    if claim is None:
        # The status may still be about an earlier run of the job.
        status = await _running(spawner, application, refresh=True)
        claim = _usable(_claim(spawner, application), application, status)
    if claim is None:
        raise _second_use(spawner)
    _check_not_stopping(spawner)
    _check_alone(spawner, application)
    return claim, status


def _usable(claim: Claim, application: Application, status: JobInfo) -> Claim | None:
    """Return the record of the code if it is valid for this claimant in this run of the job."""
    later = None
    if status.start is not None and claim.run is not None:
        later = status.start > claim.run
    following = claim.following
    if following is not None and following.matches(application.code):
        return None if later is False else following
    if not claim.matches(application.code):
        return None
    if not claim.is_used or claim.used_by(application.claimant):
        return claim
    return claim if later and following is None else None


def _claim(spawner: ClaimingSpawner, application: Application) -> Claim:
    claim, code = Claim.load(spawner.job.claim), application.code
    if claim is not None and (
        claim.matches(code)
        or claim.was(code)
        or (claim.following is not None and claim.following.matches(code))
    ):
        return claim
    raise ClaimRefused("this code belongs to no server that is starting or running")


async def _checked(spawner: ClaimingSpawner, application: Application) -> JobInfo:
    """Return the status of the job that claims. Raises ClaimRefused if it may not."""
    _claim(spawner, application)
    _check_not_stopping(spawner)
    if application.following == application.code:
        # It would be valid for whoever comes next.
        raise ClaimRefused("a code cannot be that of the next run as well")
    if not spawner.job.id:
        spawner.job.claimed_unidentified(application.claimant)
        await _until_identified(spawner)
    if not _same_job(application.job_id, spawner.job.id):
        raise ClaimRefused(f"the code belongs to another job than {application.job_id}")
    status = await _running(spawner, application)
    if spawner.claim_from == "host" and not await _is_at(application.address, spawner, status):
        raise ClaimRefused(f"job {spawner.job.id} does not run at {application.address}")
    return status


async def _until_identified(spawner: ClaimingSpawner) -> None:
    """Wait for the answer to the submit: a job may be faster. Raises ClaimRefused."""
    end = time.monotonic() + _ID_TIMEOUT_S
    while not spawner.job.id:
        if time.monotonic() >= end:
            raise ClaimRefused("the scheduler has not told the job's id yet", 503)
        await asyncio.sleep(_ID_INTERVAL_S)


def _check_not_stopping(spawner: ClaimingSpawner) -> None:
    """Raise ClaimRefused if JupyterHub stops the server, whose job may still run for a moment."""
    if hub_spawner(spawner).pending == "stop":
        raise ClaimRefused("the server is being stopped")


async def _running(
    spawner: ClaimingSpawner, application: Application, *, refresh: bool = False
) -> JobInfo:
    """Return the status of the job. Raises ClaimRefused if it does not run."""
    try:
        status = await within(_SCHEDULER_TIMEOUT_S, spawner.backend.run(refresh=refresh))
    except asyncio.TimeoutError:
        text = f"the scheduler does not say yet that job {spawner.job.id} runs"
        raise ClaimRefused(text, 503) from None
    if status.is_final:
        raise ClaimRefused(f"job {spawner.job.id} has ended")
    if status.state.is_waiting:
        since_s = spawner.job.claimed_early(application.claimant)
        if since_s >= spawner.backend.state_delay_s:
            raise _early_use(spawner)
        raise ClaimRefused(f"the scheduler does not say yet that job {spawner.job.id} runs", 503)
    return status


def _check_alone(spawner: ClaimingSpawner, application: Application) -> None:
    """Raise ClaimRefused if somebody else has claimed before the job ran, or may still do so.

    Whoever was early may be a thief, or a job that is faster than its scheduler's listings, or
    than the answer to its submit.
    """
    early = spawner.job.early_claims
    if set(early) - {application.claimant}:
        raise _early_use(spawner)
    if early and time.monotonic() - max(early.values()) < _EARLY_PAUSE_S:
        raise ClaimRefused(f"the code of job {spawner.job.id} was used early; try again", 503)


def _second_use(spawner: ClaimingSpawner) -> ClaimRefused:
    """Record that a code was used twice, and return the refusal."""
    _alarm(
        spawner,
        Message(
            "ALARM: the claim code of job %(job)s was used a second time. That was refused, but "
            "somebody else may have got hold of the code: tell the administrator.",
            job=spawner.job.id,
        ),
    )
    if spawner.second_claim == "cancel":
        in_background(spawner.cancel_batch_job())
    return ClaimRefused("this code was used already; the use is logged as an alarm")


def _early_use(spawner: ClaimingSpawner) -> ClaimRefused:
    """Record that a code was used before its job ran, and return the refusal.

    Nobody gets anything for this code any more, and the job is cancelled.
    """
    _alarm(
        spawner,
        Message(
            "ALARM: the claim code of job %(job)s was used before the job ran. That was refused, "
            "and the job is cancelled: somebody else has got hold of the code. Tell the "
            "administrator.",
            job=spawner.job.id,
        ),
    )
    spawner.job.claimed({})
    commit_state(spawner)
    in_background(spawner.cancel_batch_job())
    return ClaimRefused("this code was used before its job ran; the use is logged as an alarm")


def _alarm(spawner: ClaimingSpawner, alarm: Message) -> None:
    spawner.job.alarmed(alarm)
    metrics.CLAIM_ALARMS.labels(scheduler=spawner.scheduler_name).inc()
    spawner.log.error("%s: %s", spawner.log_name, alarm)


def _same_job(own_id: str, job_id: str) -> bool:
    """Return whether the id that a job finds in its environment is the one of the submit."""
    own, known = re.search("[0-9]+", own_id), re.search("[0-9]+", job_id)
    return not (own and known) or own[0] == known[0]


def _host(spawner: ClaimingSpawner, status: JobInfo) -> str:
    """Return the name of the host by which the Hub will reach the server."""
    if spawner.job.reported_host:
        return spawner.job.reported_host
    if not status.host:
        raise ClaimRefused(f"the scheduler does not say yet where job {spawner.job.id} is", 503)
    return spawner.connect_host(status.host)


async def _is_at(address: str, spawner: ClaimingSpawner, status: JobInfo) -> bool:
    host = spawner.connect_host(status.host)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except socket.gaierror:
        return False
    return _plain(address) in {_plain(str(place[0])) for *_, place in found}


def _plain(address: str) -> str:
    """Return an IPv4 address in its usual form, also if a socket of IPv6 has written it."""
    return address.lower().replace("::ffff:", "", 1) if "." in address else address
