"""Show the end of a job's log to the job's owner, without the secrets in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from ...concurrency import within
from ...schedulers import scheduler_classes

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAIL = 16384
"""Bytes of the log that are looked at."""

_LOOK = 1.0
"""Seconds that a file system may take to say how long a log is."""

_LINES = 15
_WIDTH = 300
_HIDDEN = "[hidden]"

_SECRETS = re.compile(
    r"(?P<keep>(?:token|passw(?:or)?d|secret|api_?key|authorization|cookie)[\w-]*"
    r"[\"']?\s*[=:]\s*[\"']?(?:token |bearer |basic )?)[^\s\"'&,;]{4,}"
    r"|\b[0-9a-fA-F]{32,}\b|\bey[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
    re.IGNORECASE | re.DOTALL,
)


def log_path(script: str, job_id: str) -> str:
    """Return the path to which a job's script sends its output, an empty text if it names none.

    Scripts of commands of a site's own can be for any scheduler. The last line of directives
    counts: errors, if they go elsewhere.
    """
    found = {
        match.start(): (match["path"].strip("\"'"), one.log_job_id)
        for one in scheduler_classes()
        for match in one.log_directive.finditer(script)
    }
    named = [found[place] for place in sorted(found)]
    paths = [one for one in named if one[0].startswith("/") and one[0] != "/dev/null"]
    if not paths:
        return ""
    path, placeholder = paths[-1]
    number = re.match(r"[0-9]*", job_id)
    return placeholder.sub(number[0] if number and number[0] else job_id, path)


class JobLog(NamedTuple):
    """Say where a job's log is, how many bytes earlier jobs left in it, and what to hide of it."""

    path: str
    begins: int = 0
    secrets: tuple[str, ...] = ()


def log_of(spawner: Any) -> JobLog:
    """Return the log of a spawner's job."""
    secrets = tuple(one for one in (spawner.api_token, spawner.job_tag) if one)
    return JobLog(spawner.job_log, spawner.job_log_begins, secrets)


async def note_beginning(spawner: Any, script: str) -> None:
    """Note, before the submit, what a log holds that several jobs write one after the other."""
    spawner.job_log_begins = 0
    path = log_path(script, "")
    if not path or path != log_path(script, "0"):
        return  # a log that has the job's id in its name is that of one job
    with contextlib.suppress(asyncio.TimeoutError):
        spawner.job_log_begins = await within(_LOOK, asyncio.to_thread(_size, path))


async def log_tail(spawner: Any, patience: float = 10.0) -> str:
    """Return the last lines of the log of a spawner's job, or nothing after so many seconds."""
    backend, log = spawner.backend, log_of(spawner)
    tail = await read_tail(log, backend.owner())
    # A Hub that is not root may not enter the homes of its users.
    return tail or shorten(await backend.log_tail(patience), log.secrets)


async def read_tail(log: JobLog, owner: int) -> str:
    """Return the last lines of a log that this machine has too, or nothing."""
    if not log.path:
        return ""
    text = await asyncio.get_running_loop().run_in_executor(None, _read, log, owner)
    return shorten(text, log.secrets)


def shorten(text: str, secrets: Iterable[str]) -> str:
    """Return the last lines of a text, without what may open something."""
    lines = [line[:_WIDTH] for line in redact(text, secrets).splitlines() if line.strip()]
    return "\n".join(lines[-_LINES:])


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without what may open something."""
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, _HIDDEN)
    return _SECRETS.sub(lambda match: f"{match['keep'] or ''}{_HIDDEN}", text)


def _size(path: str) -> int:
    """Return how many bytes there are in a file; 0 where there is none to be seen."""
    with contextlib.suppress(OSError):
        return os.lstat(path).st_size
    return 0


def _read(log: JobLog, owner: int) -> str:
    """Read the end of a file that belongs to a user.

    The path lies where the user can write, and the Hub may be root: what is not an ordinary file
    of the user's own, a link to somebody else's say, is not read.
    """
    with contextlib.suppress(OSError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(log.path, flags), "rb") as file:  # noqa: PTH123  (a descriptor)
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
                return ""
            # A log that has become shorter is not one to which jobs are added.
            begins = log.begins if log.begins <= status.st_size else 0
            file.seek(max(begins, status.st_size - _TAIL))
            return file.read(_TAIL).decode(errors="replace")
    return ""
