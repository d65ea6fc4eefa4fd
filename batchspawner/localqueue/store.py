"""The queue's jobs, stored in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from .folder import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .options import JobOptions

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
LIVE = ("RUNNING", "COMPLETING")

KEEP_S = 7 * 86400.0
"""How long an ended job is remembered, unless BATCHSPAWNER_QUEUE_KEEP says otherwise."""

GRACE_S = 5.0
"""Between TERM and KILL, unless BATCHSPAWNER_QUEUE_GRACE says otherwise."""

_LOCK_TIMEOUT_S = 30.0
_MAX_SETTING_S = 1e9
_SCHEMA = """
create table if not exists jobs (
    id integer primary key autoincrement, state text not null, reason text default '',
    name text, comment text, slots integer, walltime integer, grace real,
    script blob, environment text, umask integer, directory text, output text,
    submitted real, started real, ended real, exit_code integer, signal integer,
    cancelled integer default 0, machine text, supervisor integer, leader integer, born text
);
create table if not exists settings (name text primary key, value text);
"""


class QueuedJob(NamedTuple):
    """One job as it is stored; None stands for what is not known yet.

    `state` is a word that the scheduler layer reads too: PENDING, one of LIVE, or one of FINAL.
    `walltime` (0 for no limit) and `grace` are in seconds; times are seconds since the epoch.
    `environment` is a JSON object. `machine` is the host name on which the job runs. `supervisor`
    is the process id of its supervisor, `leader` that of its script, which leads a session, and
    `born` tells that process from a later one with the same id.
    """

    id: int
    state: str
    reason: str
    name: str
    comment: str
    slots: int
    walltime: int
    grace: float
    script: bytes
    environment: str
    umask: int
    directory: str
    output: str
    submitted: float
    started: float | None
    ended: float | None
    exit_code: int | None
    signal: int | None
    cancelled: int
    machine: str | None
    supervisor: int | None
    leader: int | None
    born: str | None

    @property
    def has_ended(self) -> bool:
        return self.state in FINAL

    @property
    def deadline(self) -> float | None:
        """When the job reaches its walltime, None without a limit or before it has started."""
        return self.started + self.walltime if self.started and self.walltime else None


_COLUMNS = ", ".join(QueuedJob._fields)


class Store:
    """The jobs, and how many slots there are. Change them inside `locked` only.

    Raises QueueError if the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "queue.sqlite"
        try:
            # Created private, before anything is in it.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            (folder / "jobs").mkdir(mode=0o700, exist_ok=True)
            self.db = sqlite3.connect(file, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
            with self.locked():
                for statement in _SCHEMA.split(";"):
                    self.db.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"cannot use the queue's file {file}: {error}") from error

    def close(self) -> None:
        self.db.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file, so that no other process changes the queue; roll back on an error."""
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def folder_of(self, job_id: int) -> Path:
        """Return the folder of a job's script and output."""
        return self.folder / "jobs" / str(job_id)

    @property
    def slots(self) -> int:
        """How many slots there are: by default one for each processor."""
        row = self.db.execute("select value from settings where name = 'slots'").fetchone()
        return int(row[0]) if row else os.cpu_count() or 1

    def use_environment(self, env: Mapping[str, str]) -> None:
        """Store the number of slots, if the environment sets it. Raises QueueError."""
        text = env.get("BATCHSPAWNER_QUEUE_SLOTS", "")
        if not text:
            return
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise QueueError(f"BATCHSPAWNER_QUEUE_SLOTS is {text!r}; write a whole number from 1")
        self.db.execute("insert or replace into settings values ('slots', ?)", (text,))

    def add(self, options: JobOptions, script: bytes, env: Mapping[str, str]) -> int:
        """Add a waiting job and return its id. Raises QueueError if it can never start."""
        if options.slots > self.slots:
            raise QueueError(
                f"the job asks for {options.slots} slots, and this queue has only {self.slots}"
            )
        cursor = self.db.execute(
            "insert into jobs (state, name, comment, slots, walltime, grace, script, environment,"
            " umask, directory, submitted) values ('PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(options.name, options.comment, options.slots, options.walltime),
                *(_number(env, "BATCHSPAWNER_QUEUE_GRACE", GRACE_S), script, json.dumps(dict(env))),
                *(_umask(), options.directory, time.time()),
            ),
        )
        job_id = int(cursor.lastrowid or 0)
        folder = self.folder_of(job_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = options.output.replace("%j", str(job_id)) or str(folder / "output")
        self.change(job_id, output=output)
        return job_id

    def change(self, job_id: int, **values: object) -> None:
        """Set columns of a job."""
        columns = ", ".join(f"{name} = ?" for name in values)
        self.db.execute(f"update jobs set {columns} where id = ?", (*values.values(), job_id))  # noqa: S608

    def end(self, job_id: int, state: str, **values: object) -> None:
        """Record that a job has ended, and erase its environment, which may hold secrets."""
        self.change(job_id, state=state, ended=time.time(), environment="{}", **values)

    def job(self, job_id: int) -> QueuedJob | None:
        """Return a job, None if there is none with this id."""
        found = self._select("id = ?", job_id)
        return found[0] if found else None

    def jobs(self, *states: str) -> list[QueuedJob]:
        """Return the jobs in these states, in the order in which they were submitted."""
        marks = ", ".join("?" * len(states))
        return self._select(f"state in ({marks}) order by id", *states)

    def ended_since(self, moment: float) -> list[QueuedJob]:
        """Return the jobs that have ended since a moment, in seconds since the epoch."""
        return self._select("ended >= ?", moment)

    def slots_in_use(self) -> int:
        """Return how many slots the running jobs take."""
        return sum(job.slots for job in self.jobs(*LIVE))

    def _select(self, condition: str, *values: object) -> list[QueuedJob]:
        query = f"select {_COLUMNS} from jobs where {condition}"  # noqa: S608
        return [QueuedJob(*row) for row in self.db.execute(query, values)]

    def purge(self, env: Mapping[str, str]) -> list[int]:
        """Delete the jobs that ended long ago, and return their ids. Raises QueueError."""
        limit = time.time() - _number(env, "BATCHSPAWNER_QUEUE_KEEP", KEEP_S)
        rows = self.db.execute("select id from jobs where ended < ?", (limit,)).fetchall()
        self.db.execute("delete from jobs where ended < ?", (limit,))
        return [int(row[0]) for row in rows]


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    with contextlib.suppress(ValueError):
        number = float(text or default)
        if 0 <= number <= _MAX_SETTING_S:
            return number
    raise QueueError(f"{name} is {text!r}; write a number of seconds")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def as_json(job: QueuedJob, reason: str = "") -> dict[str, object]:
    """Return what `query` shows of a job, with why it waits."""
    return {
        "id": str(job.id),
        "state": job.state,
        "name": job.name,
        "comment": job.comment,
        "slots": job.slots,
        "output": job.output,
        "submitted": job.submitted,
        "started": job.started,
        "ended": job.ended,
        "exit_code": job.exit_code,
        "signal": job.signal,
        "reason": reason or job.reason,
        "deadline": job.deadline,
        # The jobs run where the queue is asked.
        "host": "127.0.0.1" if job.started else "",
    }
