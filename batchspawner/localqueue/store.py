"""Keep the queue's jobs in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from .folder import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .options import JobOptions

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
KEEP = 7 * 86400.0
"""Seconds that an ended job is remembered, unless BATCHSPAWNER_QUEUE_KEEP says otherwise."""
GRACE = 5.0
"""Seconds between TERM and KILL, unless BATCHSPAWNER_QUEUE_GRACE says otherwise."""

_LOCK_WAIT = 30.0
_LONGEST = 1e9
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


class Store:
    """Read and change the jobs; a change happens inside `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "queue.sqlite"
        try:
            # Created private, before anything is in it.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            (folder / "jobs").mkdir(mode=0o700, exist_ok=True)
            self.db = sqlite3.connect(file, timeout=_LOCK_WAIT, isolation_level=None)
            self.db.row_factory = sqlite3.Row
            with self.locked():
                for statement in _SCHEMA.split(";"):
                    self.db.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"cannot use the queue's file {file}: {error}") from error

    def close(self) -> None:
        self.db.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from changing the queue meanwhile."""
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def folder_of(self, job_id: int) -> Path:
        return self.folder / "jobs" / str(job_id)

    @property
    def slots(self) -> int:
        row = self.db.execute("select value from settings where name = 'slots'").fetchone()
        return int(row["value"]) if row else os.cpu_count() or 1

    def use_environment(self, env: Mapping[str, str]) -> None:
        """Take over the number of slots where the environment sets it."""
        text = env.get("BATCHSPAWNER_QUEUE_SLOTS", "")
        if not text:
            return
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise QueueError(f"BATCHSPAWNER_QUEUE_SLOTS is {text!r}; write a whole number from 1")
        self.db.execute("insert or replace into settings values ('slots', ?)", (text,))

    def add(self, options: JobOptions, script: bytes, env: Mapping[str, str]) -> int:
        """Add a waiting job and return its id."""
        if options.slots > self.slots:
            raise QueueError(
                f"the job asks for {options.slots} slots, and this queue has only {self.slots}"
            )
        cursor = self.db.execute(
            "insert into jobs (state, name, comment, slots, walltime, grace, script, environment,"
            " umask, directory, submitted) values ('PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(options.name, options.comment, options.slots, options.walltime),
                *(_number(env, "BATCHSPAWNER_QUEUE_GRACE", GRACE), script, json.dumps(dict(env))),
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
        """Note that a job has ended; its environment, which may hold secrets, is forgotten."""
        self.change(job_id, state=state, ended=time.time(), environment="{}", **values)

    def job(self, job_id: int) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(
            "select * from jobs where id = ?", (job_id,)
        ).fetchone()
        return row

    def jobs(self, *states: str) -> list[sqlite3.Row]:
        """Return the jobs in these states, in the order of their submission."""
        marks = ", ".join("?" * len(states))
        return self.db.execute(
            f"select * from jobs where state in ({marks}) order by id",  # noqa: S608
            states,
        ).fetchall()

    def ended_since(self, moment: float) -> list[sqlite3.Row]:
        return self.db.execute("select * from jobs where ended >= ?", (moment,)).fetchall()

    def purge(self, env: Mapping[str, str]) -> Iterable[int]:
        """Forget jobs that ended long ago and return their ids."""
        limit = time.time() - _number(env, "BATCHSPAWNER_QUEUE_KEEP", KEEP)
        rows = self.db.execute("select id from jobs where ended < ?", (limit,)).fetchall()
        self.db.execute("delete from jobs where ended < ?", (limit,))
        return [row["id"] for row in rows]


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    with contextlib.suppress(ValueError):
        number = float(text or default)
        if 0 <= number <= _LONGEST:
            return number
    raise QueueError(f"{name} is {text!r}; write a number of seconds")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def as_json(row: sqlite3.Row, reason: str = "") -> dict[str, Any]:
    """Return what `query` shows of a job."""
    keys = "state name comment slots output submitted started ended exit_code signal".split()  # noqa: SIM905
    deadline = row["started"] + row["walltime"] if row["started"] and row["walltime"] else None
    return {
        "id": str(row["id"]),
        **{key: row[key] for key in keys},
        "reason": reason or row["reason"],
        "deadline": deadline,
        # The jobs run where the queue is asked.
        "host": "127.0.0.1" if row["started"] else "",
    }
