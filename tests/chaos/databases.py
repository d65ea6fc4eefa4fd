"""The Hub's database: what chaos reads of it, and does to it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import sqlalchemy

from tests import postgresql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOCK_TIMEOUT_S = 5
"""How long a lock of another program is waited for: what SQLite's driver does by default."""


class Database:
    """Base class of the databases; `url` and `more_config` are for the Hub."""

    unavailable = url = more_config = ""
    can_stick_hubs = False
    """Whether a Hub whose database was away may have to be started again."""

    def __init__(self) -> None:
        self.engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        self.locker: Any = None

    def rows(self, query: str) -> Sequence[Any]:
        """Return the rows of a query. Raises SQLAlchemyError."""
        with self.engine.connect() as connection:
            return connection.execute(sqlalchemy.text(query)).all()

    def lock(self) -> None:
        """Keep others from writing, as a program with a long transaction does."""
        raise NotImplementedError

    def unlock(self) -> None:
        if self.locker is not None:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                self.locker.close()
            self.locker = None

    def kill(self) -> None:
        """Kill the database's server, if it has one."""

    def start(self) -> None:
        """Start the database's server if it does not run."""

    def drop_connections(self) -> None:
        """End all connections to the database, if they are to a server."""

    def close(self) -> None:
        """End the database's server, and remove it."""


class SQLite(Database):
    """A file, on the disk that gets full."""

    def __init__(self, file: Path) -> None:
        self.file, self.url = file, f"sqlite:///{file}"
        super().__init__()

    def lock(self) -> None:
        if self.locker is None:
            self.locker = sqlite3.connect(self.file, isolation_level=None, timeout=30)
            with contextlib.suppress(sqlite3.OperationalError):
                self.locker.execute("begin immediate")


class PostgreSQL(Database):
    """A server of its own, which gives a Hub that waits for a lock an error after a while."""

    unavailable = postgresql.unavailable()
    can_stick_hubs = True
    more_config = f"""
c.JupyterHub.db_kwargs = {{"connect_args": {{"options": "-c lock_timeout={LOCK_TIMEOUT_S}s"}}}}
"""

    def __init__(self, file: Path) -> None:
        self.server = postgresql.PostgreSQL()
        self.server.start()
        self.runs = True
        self.url = self.server.url
        super().__init__()

    def lock(self) -> None:
        with contextlib.suppress(sqlalchemy.exc.OperationalError):
            if self.locker is None:
                self.locker = self.engine.connect()
                self.locker.execute(sqlalchemy.text(f"set lock_timeout = '{LOCK_TIMEOUT_S}s'"))
                tables = "users, spawners, servers, api_tokens"
                self.locker.execute(sqlalchemy.text(f"lock table {tables} in exclusive mode"))

    def kill(self) -> None:
        if self.runs:
            self.server.control("stop")
            self.runs = False

    def start(self) -> None:
        if not self.runs:
            self.server.control("start")
            self.runs = True

    def drop_connections(self) -> None:
        own = "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user"
        with contextlib.suppress(sqlalchemy.exc.OperationalError):
            self.rows(f"{own} and pid <> pg_backend_pid()")

    def close(self) -> None:
        self.server.stop()


DATABASES = {"sqlite": SQLite, "postgresql": PostgreSQL}
