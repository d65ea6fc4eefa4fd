"""Answer a job that exchanges its claim code for its secrets."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from sqlalchemy.orm import object_session

from ...concurrency import in_background, within
from ..hub import metrics
from ..hub.lookup import hub_spawner
from .certificates import CERTIFICATES, are_ours, server_certificate
from .claim import Application, Claim
from .package import TOKEN

if TYPE_CHECKING:
    from ...jobs import JobInfo
    from ...private import PrivateEnvironment

_PATIENCE = 8.0
"""Seconds that a claim waits for the scheduler: less than the wrapper waits for an answer."""


class ClaimRefused(Exception):
    """Say why a code is not exchanged; with status 503 trying again can help."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


async def exchange(spawner: Any, application: Application) -> PrivateEnvironment:
    """Take note of where a job's server listens, and return its secrets.

    Raises ClaimRefused where the code is not good, or not now.
    """
    claim, status = await _claimed(spawner, application)
    spawner.job_claim = claim.use(application, status.start).dump()
    spawner.receive_report(application.port, application.host, confirms=application.confirms)
    environment = claim.environment(application.code)
    if are_ours(spawner):
        environment[CERTIFICATES] = await server_certificate(spawner, _host(spawner, status))
    return environment


async def promote(spawner: Any, application: Application) -> None:
    """Make a code the token of the server, for a wrapper that knows no claims.

    Such a wrapper has no other token to give to the server that it starts. Raises ClaimRefused.
    """
    claim, status = await _claimed(spawner, application)
    session = object_session(spawner.orm_spawner)
    row = orm.APIToken.find(session, claim.environment(application.code)[TOKEN])
    if row is None:
        raise ClaimRefused("the token behind this code is no longer valid")
    row.token = application.code
    spawner.api_token = hub_spawner(spawner).api_token = application.code
    used = claim.use(replace(application, claimant=application.code), status.start)
    spawner.job_claim = used.dump()
    spawner.receive_report(application.port, application.host)
    spawner.log.warning(
        "%s: the batchspawner-singleuser in job %s is of an older release, so what was to be good "
        "for one use is its token now. Install this release where the jobs run",
        spawner._log_name,
        spawner.job_id,
    )


async def _claimed(spawner: Any, application: Application) -> tuple[Claim, JobInfo]:
    """Return the claim, good for this application, and the status of the job that claims.

    Nothing may be awaited between this and the note that the code is used now.
    """
    status = await _checked(spawner, application)
    claim = _usable(_claim(spawner, application), application, status)
    if claim is None:
        # What was said before may still be about an earlier run of the job.
        status = await _running(spawner, news=True)
        claim = _usable(_claim(spawner, application), application, status)
    if claim is None:
        raise _alarmed(spawner)
    return claim, status


def _usable(claim: Claim, application: Application, status: JobInfo) -> Claim | None:
    """Return the record of the code if it is good for this claimant in this run of the job."""
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


def _claim(spawner: Any, application: Application) -> Claim:
    claim, code = Claim.load(spawner.job_claim), application.code
    if claim is not None and (
        claim.matches(code)
        or claim.was(code)
        or (claim.following is not None and claim.following.matches(code))
    ):
        return claim
    raise ClaimRefused("this code belongs to no server that is starting or running")


async def _checked(spawner: Any, application: Application) -> JobInfo:
    """Return the status of the job that claims. Raises ClaimRefused where it may not."""
    _claim(spawner, application)
    if hub_spawner(spawner).pending == "stop":
        raise ClaimRefused("the server is being stopped")
    if not spawner.job_id:
        raise ClaimRefused("the scheduler has not told the job's id yet", 503)
    if not _same_job(application.job_id, spawner.job_id):
        raise ClaimRefused(f"the code belongs to another job than {application.job_id}")
    status = await _running(spawner)
    if spawner.claim_from == "host" and not await _is_at(application.address, spawner, status):
        raise ClaimRefused(f"job {spawner.job_id} does not run at {application.address}")
    return status


async def _running(spawner: Any, *, news: bool = False) -> JobInfo:
    try:
        status: JobInfo = await within(_PATIENCE, spawner.backend.run(news=news))
    except asyncio.TimeoutError:
        text = f"the scheduler does not say yet that job {spawner.job_id} runs"
        raise ClaimRefused(text, 503) from None
    if status.is_final:
        raise ClaimRefused(f"job {spawner.job_id} has ended")
    return status


def _alarmed(spawner: Any) -> ClaimRefused:
    spawner.claim_alarm = (
        f"ALARM: the claim code of job {spawner.job_id} was used a second time. That was refused, "
        "but somebody else may have got hold of the code: tell the administrator."
    )
    metrics.CLAIM_ALARMS.labels(scheduler=spawner.scheduler_name).inc()
    spawner.log.error("%s: %s", spawner._log_name, spawner.claim_alarm)
    if spawner.second_claim == "cancel":
        in_background(spawner.cancel_batch_job())
    return ClaimRefused("this code was used already; the use is logged as an alarm")


def _same_job(said: str, job_id: str) -> bool:
    """Tell whether the id that a job finds in itself is the one of the submit."""
    mine, known = re.search("[0-9]+", said), re.search("[0-9]+", job_id)
    return not (mine and known) or mine[0] == known[0]


def _host(spawner: Any, status: JobInfo) -> str:
    """Return the host by whose name the Hub will speak with the server."""
    if spawner.reported_host:
        return str(spawner.reported_host)
    if not status.host:
        raise ClaimRefused(f"the scheduler does not say yet where job {spawner.job_id} is", 503)
    return str(spawner.connect_host(status.host))


async def _is_at(address: str, spawner: Any, status: JobInfo) -> bool:
    host = spawner.connect_host(status.host)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except socket.gaierror:
        return False
    return _plain(address) in {_plain(str(place[0])) for *_, place in found}


def _plain(address: str) -> str:
    """Return an address of IPv4 as one, also where a socket for both kinds has written it."""
    return address.lower().replace("::ffff:", "", 1) if "." in address else address
