"""The embedded queue, and what chaos does to it."""

from __future__ import annotations

import contextlib
import sqlite3

import psutil

from batchspawner.localqueue.processes import mark_of, processes_of
from batchspawner.localqueue.store import LIVE
from tests.chaos.queues.base import Job, Queue
from tests.sites import LocalSite

SLOTS = 6
"""Fewer than all that may want to run at a time, so that some have to wait."""


class EmbeddedQueue(LocalSite, Queue):
    """The embedded queue; it has no daemons, and starts no job a second time."""

    users = ("ada", "ben")
    commands = ("batchspawner-queue",)
    lost_answer = "the answer was lost"

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "BATCHSPAWNER_QUEUE_SLOTS": str(SLOTS)}

    def live_jobs(self) -> list[Job]:
        file = self.queue_folder / "queue.sqlite"
        if not file.exists():
            return []
        query = (
            "select id, state, name, leader, supervisor from jobs where state in (?, ?, ?)"
            " order by id"
        )
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as db:
            rows = db.execute(query, ("PENDING", *LIVE)).fetchall()
        return [Job(str(row[0]), *row[1:]) for row in rows]

    def has_room(self, jobs: list[Job]) -> bool:
        return sum(job.state != "PENDING" for job in jobs) < SLOTS

    def processes(self, job: Job) -> list[psutil.Process]:
        found = []
        for pid in processes_of(mark_of(self.queue_folder, int(job.id)), job.leader):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found

    def supervisor(self, job: Job) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if job.supervisor:
                process = psutil.Process(job.supervisor)
                # Another process may have its id by now.
                if "batchspawner.localqueue.supervisor" in process.cmdline():
                    return [process]
        return []
