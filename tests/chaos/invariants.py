"""What holds of a system in which everything works again, whatever has happened to it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

import requests
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.work import NAMES
from tests.hubs import wait_for

if TYPE_CHECKING:
    from tests.chaos.system import System

SETTLE_S = 20.0


def check(system: System) -> list[str]:
    """Wait until all invariants hold at once; return those that do not in time."""
    broken: list[str] = []

    def hold() -> bool:
        try:
            broken[:] = violations(system)
        except (requests.RequestException, sqlite3.Error, SQLAlchemyError) as error:
            broken[:] = [f"the Hub, or its database, does not work: {error}"]
        return not broken

    with contextlib.suppress(AssertionError):
        wait_for(hold, SETTLE_S)
    return broken


def violations(system: System) -> list[str]:
    """Return each invariant that does not hold now, in words."""
    servers = system.servers
    models, saved = servers.models(), servers.saved()
    own, routes = servers.job_ids(), servers.routes()
    alive = system.site.live_jobs()
    room = system.site.has_room(alive)
    work = [job for job in alive if job.name in NAMES.values()]
    jobs = {job.id: job for job in alive if job not in work}
    broken = [
        f"{server} has been lost, whose job {job} nobody ended"
        for server, job in system.served.items()
        if own.get(server) != job and not (server in system.stopped or job in system.work.killed)
    ]
    owned = {own[server] for server in models if server in own}
    broken += [f"job {one} belongs to no server" for one in jobs if one not in owned]
    for server, model in models.items():
        job = jobs.get(own.get(server, ""))
        if job is None:
            broken.append(f"{server} has no job that lives")
        elif model["ready"]:
            broken += _wrong_with(system, server, job.id, job.state, routes.get(server))
        elif job.state != "PENDING" or room:
            broken.append(f"{server} does not start, and its job is {job.state}")
    broken += [f"the proxy has a route to {one}, which is not" for one in routes.keys() - models]
    ports = Counter(saved[one].port for one, model in models.items() if model["ready"])
    broken += [f"port {port} belongs to {n} servers" for port, n in ports.items() if n > 1]
    broken += [
        f"{server} was to start; there is neither a server nor a reason"
        for server, length in system.asked.items()
        if server not in models and not _reason(system, server, length)
    ]
    return broken + system.work.violations(work, room=room)


def _wrong_with(system: System, server: str, job: str, state: str, route: str | None) -> list[str]:
    """Return what is wrong with a server that is ready in the Hub's eyes."""
    if state != "RUNNING":
        return [f"{server} runs, and its job {job} is {state}"]
    if not route:
        return [f"{server} runs, and the proxy has no route to it"]
    user, name = server.split("/")
    said = system.servers.identity(server)
    if said != {"user": user, "name": name, "job": job}:
        return [f"the proxy leads from {server} to {said or 'nothing'}, which is job {job}"]
    return []


def _reason(system: System, server: str, length: int) -> bool:
    """Return whether the Hub's log says since a moment why a server is not there."""
    user, name = server.split("/")
    # JupyterHub names the server that has no name of its own by its user alone.
    word = re.compile(rf"\b{user}:{name}\b" if name else rf"(?<!\(){user}(?= |: |$)")
    text = system.hub.log.read_bytes()[length:].decode(errors="replace")
    told = ("[W", "[E", "[C")
    return any(line.startswith(told) and word.search(line) for line in text.splitlines())
