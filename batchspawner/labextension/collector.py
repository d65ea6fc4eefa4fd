"""The one collector of this server: it asks for all browsers, and only while one is there.

It runs in the library's own thread, and so shares the queries of the kernels of this server. The
Jupyter server's event loop hands requests over by `blocking_client.elsewhere`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..client.availability import cached_own_jobs
from ..client.job_scripts import find_scheduler
from ..concurrency import in_background
from .board import Board
from .own_job import own_log
from .rows import EXECUTOR, SERVER, Row, executor_row, other_row, record_row, status_fields
from .server_row import ServerRow
from .sources import Records, executors, listed, number_of, off_loop
from .watches import Watches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..allocation.job_records import JobRecord
    from ..client.watch import Watch
    from ..jobs import JobInfo
    from .board import Send
    from .sources import ExecutorProgress

log = logging.getLogger(__name__)

_ROUND_INTERVAL_S = 1.0
"""Between two looks at what is known, while a panel is open; no scheduler is asked for it."""

_CLOSED_INTERVAL_S = 10.0
"""The same while only status bars are there."""

_BUSY_POLL_S, _IDLE_POLL_S = 5.0, 30.0
"""How old the status of a job may become: of one that waits, and of others."""

_IDLE_AFTER_S = 60.0
"""Without a change for so long, the scheduler is asked less often."""

_MAX_ENDED = 50
"""Ended jobs that are listed at most, the newest ones."""

_SNAPSHOT_TIMEOUT_S = 10.0
"""How long a program that asks for the list waits for its scheduler."""


class Collector:
    """What is known of all jobs of this user, kept up to date while somebody looks.

    `environment` is that of the server's job, and `root` the folder of the server's files.
    """

    def __init__(self, environment: Mapping[str, str], root: str = "") -> None:
        self.board = Board()
        self._root = root
        self._watches = Watches()
        self._server = ServerRow(environment, self._watches)
        self._records = Records()
        self._ended: dict[str, Row] = {}
        self._others: dict[str, JobInfo] = {}
        self._panels: dict[Send, bool] = {}
        self._changed = time.monotonic()
        self._built: object = None
        self._wake: asyncio.Event | None = None
        self._lock: asyncio.Lock | None = None
        self._running = False

    # --- who looks

    async def follow(self, send: Send) -> None:
        """Send a browser all rows, and what changes from now on."""
        self._panels[send] = False
        send({"type": "time", "now": time.time(), "root": self._root})
        self.board.follow(send)
        self._start()

    async def forget(self, send: Send) -> None:
        """Send a browser nothing more."""
        self._panels.pop(send, None)
        self.board.forget(send)
        self._look_now()

    async def set_open(self, send: Send, is_open: bool) -> None:
        """Note whether a browser shows the list of jobs."""
        if send in self._panels:
            self._panels[send] = is_open
            self._changed = time.monotonic()
            self._look_now()

    async def snapshot(self) -> list[Row]:
        """Return all rows, for a program: as soon as the scheduler has answered, or cannot."""

        def send(_: object) -> None:
            pass

        await self.follow(send)
        await self.set_open(send, True)
        try:
            deadline = time.monotonic() + _SNAPSHOT_TIMEOUT_S
            await self._round()
            while time.monotonic() < deadline and any(
                watch.status is None and watch.trouble is None
                for watch in self._watches.open.values()
            ):
                await asyncio.sleep(0.1)
            await self._round()
            return list(self.board.rows.values())
        finally:
            await self.forget(send)

    async def announce_end(self) -> None:
        """Send all browsers that this server ends."""
        self.board.send({"type": "ending"})

    async def announce_kernel_death(self, kernel_id: str) -> None:
        """Send all browsers that a kernel was killed because the job's memory ran out."""
        self.board.send({"type": "killed", "kernel": kernel_id})

    # --- what they can do

    async def cancel(self, row_id: str) -> bool:
        """Cancel the job of a row, or all jobs of an executor; return whether there is one.

        Raises SchedulerError if the scheduler did not do it.
        """
        row = await self._row(row_id)
        if row is None:
            return False
        rows = [row]
        if row.kind == EXECUTOR:
            rows = [one for one in self.board.rows.values() if one.parent == row.id]
        for one in rows:
            client = self._watches.client(one.scheduler)
            if client is not None and one.can_cancel:
                await client.cancel(one.job_id)
                cached_own_jobs(client.scheduler, client.query_runner).expire()
        self._changed = time.monotonic()
        for watch in self._watches.open.values():
            watch.hurry()
            break  # one query is for all
        self._look_now()
        return True

    async def logs(self, row_id: str) -> list[Path]:
        """Return the files to which the job of a row prints."""
        row = await self._row(row_id)
        if row is None:
            return []
        if row.kind == SERVER:
            file = own_log()
            return [file] if file else []
        record = self._record(row)
        return [one for one in record.logs() if one.is_file()] if record else []

    async def _row(self, row_id: str) -> Row | None:
        if row_id not in self.board.rows:
            await self.snapshot()
        return self.board.rows.get(row_id)

    def _record(self, row: Row) -> JobRecord | None:
        for one in self._records.known.values():
            if one.full_name == row.id:
                return one
        return None

    # --- the loop

    def _start(self) -> None:
        if self._wake is None:
            self._wake, self._lock = asyncio.Event(), asyncio.Lock()
        if not self._running:
            self._running = True
            in_background(self._run())
        self._look_now()

    def _look_now(self) -> None:
        if self._wake is not None:
            self._wake.set()

    @property
    def _is_open(self) -> bool:
        return any(self._panels.values())

    async def _run(self) -> None:
        try:
            while self._panels:
                try:
                    await self._round()
                except Exception:
                    log.exception("The list of jobs could not be renewed")
                await self._wait(_ROUND_INTERVAL_S if self._is_open else _CLOSED_INTERVAL_S)
        finally:
            self._running = False
            self._watches.close_others(set())

    async def _wait(self, seconds: float) -> None:
        assert self._wake is not None  # noqa: S101  (the loop runs)
        self._wake.clear()
        alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    async def _round(self) -> None:
        """Bring the rows up to date with what is known, and watch what has come."""
        assert self._lock is not None  # noqa: S101  (somebody follows)
        async with self._lock:
            rows = [one for one in self.board.rows.values() if one.kind != SERVER]
            if self._is_open:
                if await off_loop(self._records.update):
                    self._built = None
                groups = await off_loop(executors)
                await self._update_others()
                await self._server.ask_gpus()
                rows = self._unchanged_or_built(groups, rows)
            else:
                self._watches.close_others({SERVER})
                self._built = None
            self.board.update([*self._server.rows(), *rows])

    def _unchanged_or_built(
        self, groups: Mapping[str, ExecutorProgress], before: list[Row]
    ) -> list[Row]:
        """Return the rows of all jobs but the server's: those of before if nothing has changed."""
        idle = time.monotonic() - self._changed > _IDLE_AFTER_S
        statuses = [id(one.status) for key, one in self._watches.open.items() if key != SERVER]
        known = (groups, id(self._others), statuses, idle)
        if known == self._built:
            return before
        ours = self._record_rows()
        rows = [*self._executor_rows(groups, ours), *ours]
        rows += self._other_rows(
            {number_of(self._server.job_id), *(number_of(one.job_id) for one in rows)}
        )
        if {one.id: one for one in rows} != {one.id: one for one in before}:
            self._changed, idle = time.monotonic(), False
        for key, watch in self._watches.open.items():
            if key != SERVER:
                watch.interval = _IDLE_POLL_S if idle or not _waits(watch) else _BUSY_POLL_S
        statuses = [id(one.status) for key, one in self._watches.open.items() if key != SERVER]
        self._built = (groups, id(self._others), statuses, idle)
        return rows

    # --- the rows

    def _record_rows(self) -> list[Row]:
        """Return the rows of our jobs; watch those that have not ended, and close the others."""
        rows, wanted = {}, {SERVER}
        for record in list(self._records.known.values()):
            client = self._watches.client(record.scheduler)
            watch = None
            if not record.ended and client is not None:
                wanted.add(record.full_name)
                watch = self._watches.watch(
                    record.full_name, record.scheduler, record.job_id, _BUSY_POLL_S
                )
            status = watch.status if watch else None
            scheduler = client.scheduler if client else None
            row = record_row(record, scheduler, status)
            if record.ended:
                row = self._ended.get(row.id, row)
            rows[row.id] = row
            if status is not None and status.is_final:
                rows[row.id] = self._note_end(row, record, status)
                wanted.discard(record.full_name)
        self._keep_removed(rows, wanted)
        self._watches.close_others(wanted)
        open_ = [row for row in rows.values() if not row.ended]
        ended = [row for row in rows.values() if row.ended]
        ended += [row for key, row in self._ended.items() if key not in rows]
        return [*open_, *sorted(ended, key=lambda one: one.submitted or 0)[-_MAX_ENDED:]]

    def _note_end(self, row: Row, record: JobRecord, status: JobInfo) -> Row:
        """Remember how a job ended, also for who looks after its files are removed."""
        row = replace(row, until=status.end or time.time())
        self._ended[row.id] = row
        while len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        with contextlib.suppress(OSError):
            self._records.replace(record.close(status.state.value))
        return row

    def _keep_removed(self, rows: dict[str, Row], wanted: set[str]) -> None:
        """Follow jobs to their end whose files are removed already, as those of a kernel are."""
        for key, watch in list(self._watches.open.items()):
            before = self.board.rows.get(key)
            if key in rows or key == SERVER or before is None:
                continue
            client = self._watches.client(before.scheduler)
            if client is None or before.ended:
                continue
            row = replace(before, has_log=False, **status_fields(client.scheduler, watch.status))
            if row.ended:
                row = replace(row, until=row.until or time.time())
                self._ended[key] = row
            else:
                wanted.add(key)
                rows[key] = row

    def _executor_rows(self, groups: Mapping[str, ExecutorProgress], ours: list[Row]) -> list[Row]:
        """Return a row for each executor that has calls to do, or jobs that have not ended."""
        jobs: dict[str, list[Row]] = {}
        for row in ours:
            if row.parent:
                jobs.setdefault(row.parent, []).append(row)
        found = []
        for key in dict.fromkeys([*(f"{EXECUTOR}:{one}" for one in groups), *jobs]):
            known = groups.get(key.partition(":")[2])
            before = self.board.rows.get(key)
            found.append(executor_row(key, known, jobs.get(key, []), before))
        return found

    async def _update_others(self) -> None:
        with contextlib.suppress(LookupError):
            client = self._watches.client(find_scheduler("auto").name)
            if client is not None:
                others = await listed(client)
                # The same object as long as nothing has changed: it need not be compared again.
                self._others = self._others if others == self._others else others

    def _other_rows(self, known: set[str]) -> list[Row]:
        with contextlib.suppress(LookupError):
            client = self._watches.client(find_scheduler("auto").name)
            if client is not None:
                return [
                    other_row(client.scheduler, status)
                    for number, status in self._others.items()
                    if number not in known
                ]
        return []


def _waits(watch: Watch) -> bool:
    return watch.status is None or watch.status.state.is_waiting
