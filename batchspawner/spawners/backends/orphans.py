"""Orphans: jobs of this Hub that no server belongs to any more, and that are cancelled.

They are left when a cancel failed for good, or when the Hub's database was lost or restored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from jupyterhub import orm
from sqlalchemy import Text, literal_column
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import object_session

from ...errors import BatchError
from ..hub.database import said_by
from ..hub.jupyterhub import HubSpawner
from ..hub.tags import TAG, hub_word
from .exec_prefix import PrefixedSpawner, client_of, prefix_of
from .unsafe_names import prefix_words, risky

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sqlalchemy.orm import Session

    from ...client.batch_client import BatchClient
    from ...jobs import TaggedJob

log = logging.getLogger("batchspawner.orphans")

_SEARCH_INTERVAL_S = 300.0

_MAX_ROWS = 200
"""Number of servers whose states are read before the event loop gets its turn."""


class OrphanSpawner(HubSpawner, PrefixedSpawner, Protocol):
    """What the search for orphans uses of a spawner."""

    orphan_grace: float
    orphan_policy: str


class Reaper:
    """Search for the orphans on one scheduler, every few minutes as long as the Hub runs."""

    def __init__(self, client: BatchClient, spawner: OrphanSpawner, session: Session) -> None:
        self._client = client
        self._word = hub_word(spawner)
        self._prefix = prefix_of(spawner)
        self._launcher = spawner.launcher
        self._policy = spawner.orphan_policy
        self._grace = spawner.orphan_grace
        self._session = session
        self._seen: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Search until the Hub ends."""
        while True:
            try:
                await self.look()
            except BatchError as error:
                log.info("Cannot look for jobs without a server: %s", error)
            except SQLAlchemyError as error:
                # The connection was lost, or others' statements have failed; see `hub.database`.
                self._session.rollback()
                text = "Cannot look for jobs without a server: %s"
                log.warning(text, said_by(error))
            except Exception:
                log.exception("Cannot look for jobs without a server")
            await asyncio.sleep(min(_SEARCH_INTERVAL_S, self._grace))

    async def look(self) -> None:
        """List the Hub's jobs once, and cancel those that have had no server for too long."""
        orphans = {}
        listed = await self._client.tagged()
        # After the listing: a job that is submitted now has its tag in the database first.
        owned = await owned_tags(self._session)
        for job in listed:
            for tag in TAG.findall(job.text):
                if tag.startswith(self._word) and tag not in owned:
                    orphans[job.job_id, tag] = job
        now = time.monotonic()
        self._seen = {key: self._seen.get(key, now) for key in orphans}
        for (job_id, tag), since in list(self._seen.items()):
            if now - since >= self._grace:
                try:
                    await self._cancel(orphans[job_id, tag], tag)
                except BatchError as error:
                    # The others have nothing to do with it.
                    log.warning("Job %s, which belongs to no server, goes on: %s", job_id, error)

    async def _cancel(self, job: TaggedJob, tag: str) -> None:
        whose = f"Job {job.job_id} of {job.owner or 'this user'} belongs to no server of this Hub"
        if self._policy == "report":
            log.warning("%s. Cancel it by hand; orphan_policy is 'report'", whose)
            return
        owner = self._as_owner(job.owner)
        # The owner could have written anything into the listing, but only about their own jobs.
        if owner is None or job.job_id not in await owner.find(tag):
            log.info("%s, but its owner has no such job", whose)
            return
        await owner.cancel(job.job_id)
        log.warning("%s any more; cancelled it", whose)

    def _as_owner(self, name: str) -> BatchClient | None:
        """Return a client that acts as the owner of a job."""
        try:
            words = prefix_words(self._prefix, {"username": name}, risky(name))
        except KeyError as error:
            log.warning("exec_prefix needs %s, which is not known of a job without a server", error)
            return None
        if words is None:
            return None
        return client_of(self._client.scheduler, words, self._launcher, name)


async def owned_tags(session: Session) -> set[str]:
    """Return the tags of all servers in the Hub's database, however deep a wrapper has put them.

    The states are searched as texts, some at a time: decoding thousands of them would block the
    Hub for seconds.
    """
    found: set[str] = set()
    last = 0
    text = literal_column("spawners.state", Text)
    columns = session.query(orm.Spawner.id, text).order_by(orm.Spawner.id)
    while rows := columns.filter(orm.Spawner.id > last).limit(_MAX_ROWS).all():
        for last, state in rows:  # noqa: B007  (the last one of these rows is where to go on)
            found.update(TAG.findall(state or ""))
        await asyncio.sleep(0)
    return found


_reapers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[None]]] = (
    WeakKeyDictionary()
)


def look_for_orphans(client: BatchClient, spawner: OrphanSpawner) -> None:
    """Start to search for orphans on a scheduler, once for all spawners of the Hub."""
    session = object_session(spawner.orm_spawner) if spawner.orm_spawner else None
    if session is None or spawner.orphan_policy == "ignore":
        return
    running = _reapers.setdefault(asyncio.get_running_loop(), {})
    key = (client.scheduler, client.query_runner)
    if key not in running:
        running[key] = asyncio.ensure_future(Reaper(client, spawner, session).run())
