"""The end of a job's log, for the job's owner, without the secrets in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from ...concurrency import within
from ...schedulers import scheduler_classes
from ...schedulers.base import Scheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_TAIL_BYTES = 16384
"""Size of the part of the log that is read."""

_STAT_TIMEOUT_S = 1.0
"""Time that a file system may take to return the size of a log."""

_CLOCK_DIFFERENCE_S = 60.0
"""Time by which the clock of a file system may differ from that of this machine."""

_MAX_LINES = 15
_MAX_LINE_LENGTH = 300
_HIDDEN = "[hidden]"

# Each repetition is bounded, or cannot begin in the middle of what it repeats: a job writes what it
# likes, and each of its characters could otherwise cost as much time as all that follow.
_SECRETS = re.compile(
    r"(?P<keep>(?:token|passw(?:or)?d|secret|api_?key|authorization|cookie)[\w-]{0,100}"
    r"[\"']?\s{0,9}[=:]\s{0,9}[\"']?(?:token |bearer |basic )?)[^\s\"'&,;]{4,}"
    r"|\b[0-9a-fA-F]{32,}\b|(?<![\w-])ey[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
    re.IGNORECASE | re.DOTALL,
)


_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -~])")
"""Control sequences of terminals: https://ecma-international.org/publications-and-standards/
standards/ecma-48/."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Single characters that control a terminal, or the direction of what is written."""


def log_path(script: str, job_id: str) -> str:
    """Return the path to which a job's script sends its output, an empty text if it names none.

    Scripts of commands of a site's own can be for any scheduler. The last line of directives
    counts: errors, if they go elsewhere.
    """
    path, scheduler = _log_directive(script)
    return _with_job_id(path, scheduler, job_id)


def _with_job_id(path: str, scheduler: type[Scheduler], job_id: str) -> str:
    number = re.match(r"[0-9]*", job_id)
    return scheduler.log_job_id.sub(number[0] if number and number[0] else job_id, path)


def _log_directive(script: str) -> tuple[str, type[Scheduler]]:
    """Return the path of a script's log, with what stands for the job's id, and its scheduler."""
    found = {
        match.start(): (match["path"].strip("\"'"), one)
        for one in scheduler_classes()
        for match in one.log_directive.finditer(script)
    }
    named = [found[place] for place in sorted(found)]
    paths = [one for one in named if one[0].startswith("/") and one[0] != "/dev/null"]
    return paths[-1] if paths else ("", Scheduler)


class EarlierLog(NamedTuple):
    """Log that earlier jobs have left in the file of a job: its size in bytes, and its time.

    The size is 0 if the job replaces the log; `changed_at` is in seconds since the epoch, and 0 if
    there was no log.
    """

    size: int = 0
    changed_at: float = 0.0


class JobLog(NamedTuple):
    """Where a job's log is, what earlier jobs left in it, and what to hide of it."""

    path: str
    earlier: EarlierLog = EarlierLog()
    secrets: tuple[str, ...] = ()


async def earlier_log(
    script: str, as_owner: Callable[[], Awaitable[tuple[int, float]]] | None = None
) -> EarlierLog:
    """Return what is in a log before the job, if several jobs write to the same file.

    `as_owner` returns size and time of a log into whose folder only its owner may look.
    """
    path, scheduler = _log_directive(script)
    if not path or scheduler.log_job_id.search(path):
        return EarlierLog()  # a log that has the job's id in its name is that of one job
    try:
        size, changed_at = await _size_and_time(path)
    except PermissionError:
        size, changed_at = await as_owner() if as_owner is not None else (0, 0.0)
    return EarlierLog(0 if scheduler.log_is_replaced else size, changed_at)


async def log_of_namesake(script: str, job_id: str, submitted_at: float) -> EarlierLog:
    """Return what an earlier job of the same id has left in a job's log.

    That is possible where job ids begin again, as after a new installation, and the scheduler
    appends to logs. The submit of the job began at `submitted_at`, in seconds since the epoch.
    """
    path, scheduler = _log_directive(script)
    if not scheduler.log_job_id.search(path) or scheduler.log_is_replaced:
        return EarlierLog()
    try:
        found = EarlierLog(*await _size_and_time(_with_job_id(path, scheduler, job_id)))
    except PermissionError:
        return EarlierLog()
    # The job may run and write already.
    began = submitted_at - _CLOCK_DIFFERENCE_S
    return found if found.changed_at < began else EarlierLog()


async def _size_and_time(path: str) -> tuple[int, float]:
    """Return size and time of a file, zeros if there is none. Raises PermissionError."""
    try:
        found = await within(_STAT_TIMEOUT_S, asyncio.to_thread(os.lstat, path))
    except PermissionError:
        raise
    except (asyncio.TimeoutError, OSError):
        return 0, 0.0
    return found.st_size, found.st_mtime


async def read_tail(log: JobLog, owner: int) -> str:
    """Return the last lines of a log if this machine can read it, else nothing.

    `owner` is the id of the user whose files may be shown.
    """
    if not log.path:
        return ""
    return await asyncio.to_thread(lambda: shorten(_read(log, owner), log.secrets))


def shorten(text: str, secrets: Iterable[str]) -> str:
    """Return the last lines of a text, without secrets and without control characters."""
    plain = printable(text[-_TAIL_BYTES:])
    lines = [line[:_MAX_LINE_LENGTH] for line in redact(plain, secrets).split("\n") if line.strip()]
    return "\n".join(lines[-_MAX_LINES:])


def printable(text: str) -> str:
    """Return a text without what would move the cursor or change colours where it is shown."""
    lines = "\n".join(_SEQUENCES.sub("", text).splitlines())
    return _CONTROLS.sub("", lines)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text with the given secrets, and what looks like one, hidden."""
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, _HIDDEN)
    return _SECRETS.sub(lambda match: f"{match['keep'] or ''}{_HIDDEN}", text)


def _read(log: JobLog, owner: int) -> str:
    """Read the end of a file that belongs to a user.

    The user can write where the path leads, and the Hub may be root: anything but an ordinary
    file of the user's own, such as a link to somebody else's, is not read.
    """
    with contextlib.suppress(OSError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(log.path, flags), "rb") as file:  # noqa: PTH123  (a descriptor)
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
                return ""
            size, changed_at = log.earlier
            if status.st_mtime == changed_at:
                return ""  # the job has written nothing yet
            # A log that was changed and is not longer now is not one to which the job appended.
            offset = size if size < status.st_size else 0
            file.seek(max(offset, status.st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace")
    return ""
