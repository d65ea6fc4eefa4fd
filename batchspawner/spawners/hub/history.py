"""History of the starts of servers: how each of them ended, without the names of users.

It is a file of JSON lines beside the Hub's database, which each start appends to. What is written
is bounded, and a restarted Hub reads it again.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy.orm import object_session

from ..failures.causes import CRASHED
from ..failures.spawn_failure import SpawnFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session

    from .jupyterhub import JobSpawner

FILE_NAME = "batchspawner_history.jsonl"

STARTED = "started"

_MAX_ENTRIES = 20_000
"""Number of starts that are kept; the file has at most twice as many lines."""

_MAX_AGE_S = 90 * 86400.0

_log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Start of a server: when it ended, with ``started`` or the word of a cause, and its wait.

    `at` is in seconds since the epoch, `waited_s` None if the job did not run or nobody knows.
    """

    at: int
    outcome: str
    scheduler: str
    queue: str = ""
    waited_s: float | None = None


class History:
    """The last starts, in memory and in a file; in memory only without a path."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._starts: deque[Start] = deque(maxlen=_MAX_ENTRIES)
        self._lines = 0
        self._is_broken = False
        self._load()

    @property
    def starts(self) -> Sequence[Start]:
        """The starts that are not too old, the latest last."""
        oldest = time.time() - _MAX_AGE_S
        return [one for one in self._starts if one.at >= oldest]

    def add(self, start: Start) -> None:
        """Record a start. A file that cannot be written is logged once, and fails nothing."""
        self._starts.append(start)
        if self.path is None:
            return
        try:
            if self._lines >= 2 * _MAX_ENTRIES:
                self._rewrite(self.path)
            else:
                with open(_opened(self.path, os.O_APPEND), "a") as file:
                    file.write(_line(start))
                self._lines += 1
            self._is_broken = False
        except OSError as error:
            if not self._is_broken:
                _log.warning("the history of starts cannot be written to %s: %s", self.path, error)
            self._is_broken = True

    def _load(self) -> None:
        if self.path is None:
            return
        try:
            with self.path.open(errors="replace") as file:
                for line in file:
                    self._lines += 1
                    start = _start(line)
                    if start is not None:
                        self._starts.append(start)
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.warning("the history of starts cannot be read from %s: %s", self.path, error)

    def _rewrite(self, path: Path) -> None:
        draft = path.with_name(f"{path.name}.new")
        starts = self.starts
        with open(_opened(draft, os.O_TRUNC), "w") as file:
            file.writelines(map(_line, starts))
        draft.replace(path)
        self._lines = len(starts)


def history_of(session: Session) -> History:
    """Return the history of the Hub with this database."""
    engine: Engine = session.get_bind()  # type: ignore[assignment]
    if engine not in _histories:
        _histories[engine] = History(_path_beside(engine))
    return _histories[engine]


@contextmanager
def recording_start(spawner: JobSpawner) -> Iterator[None]:
    """Record in the Hub's history how the start in the block ends, but not its cancellation."""
    try:
        yield
    except Exception as error:
        cause = error.details.cause if isinstance(error, SpawnFailure) else CRASHED
        _record(spawner, cause.word)
        raise
    _record(spawner, STARTED)


def _record(spawner: JobSpawner, outcome: str) -> None:
    row, job = spawner.orm_spawner, spawner.job
    session = object_session(row) if row is not None else None
    if session is None:
        return
    waited = round(job.waited, 1) if outcome == STARTED or job.waited else None
    queue = job.requested.get("queue", "")
    start = Start(round(time.time()), outcome, spawner.scheduler_name, queue, waited)
    history_of(session).add(start)


_histories: WeakKeyDictionary[Engine, History] = WeakKeyDictionary()


def _path_beside(engine: Engine) -> Path | None:
    """Return the file beside an SQLite database; with another one, in the working directory.

    JupyterHub itself has the secret of its cookies there.
    """
    if engine.dialect.name != "sqlite":
        return Path(FILE_NAME).absolute()
    database = engine.url.database
    if not database or database == ":memory:":
        return None
    return Path(database).absolute().with_name(FILE_NAME)


def _opened(path: Path, flags: int) -> int:
    """Return a descriptor of a file that only the Hub may read; a link is not followed."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)


def _line(start: Start) -> str:
    return json.dumps(list(start)) + "\n"


def _start(line: str) -> Start | None:
    """Return the start in a line, None for a line that is damaged or of another release."""
    try:
        entry: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, list) or len(entry) != len(Start._fields):
        return None
    at, *words, waited = entry
    is_number = isinstance(at, int) and (waited is None or isinstance(waited, (int, float)))
    return Start(*entry) if is_number and all(isinstance(one, str) for one in words) else None
