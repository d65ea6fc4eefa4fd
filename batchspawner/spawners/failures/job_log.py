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

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAIL_BYTES = 16384
"""Size of the part of the log that is read."""

_STAT_TIMEOUT_S = 1.0
"""Time that a file system may take to return the size of a log."""

_MAX_LINES = 15
_MAX_LINE_LENGTH = 300
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
    """Where a job's log is, how many bytes earlier jobs left in it, and what to hide of it."""

    path: str
    offset: int = 0
    secrets: tuple[str, ...] = ()


async def shared_log_size(script: str) -> int:
    """Return how many bytes a log has before the job, if several jobs write to the same file."""
    path = log_path(script, "")
    if not path or path != log_path(script, "0"):
        return 0  # a log that has the job's id in its name is that of one job
    with contextlib.suppress(asyncio.TimeoutError):
        return await within(_STAT_TIMEOUT_S, asyncio.to_thread(_size, path))
    return 0


async def read_tail(log: JobLog, owner: int) -> str:
    """Return the last lines of a log if this machine can read it, else nothing.

    `owner` is the id of the user whose files may be shown.
    """
    if not log.path:
        return ""
    text = await asyncio.get_running_loop().run_in_executor(None, _read, log, owner)
    return shorten(text, log.secrets)


def shorten(text: str, secrets: Iterable[str]) -> str:
    """Return the last lines of a text, without secrets."""
    lines = [line[:_MAX_LINE_LENGTH] for line in redact(text, secrets).splitlines() if line.strip()]
    return "\n".join(lines[-_MAX_LINES:])


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text with the given secrets, and what looks like one, hidden."""
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, _HIDDEN)
    return _SECRETS.sub(lambda match: f"{match['keep'] or ''}{_HIDDEN}", text)


def _size(path: str) -> int:
    """Return the size of a file in bytes, 0 if it cannot be seen."""
    with contextlib.suppress(OSError):
        return os.lstat(path).st_size
    return 0


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
            # A log that has become shorter is not one to which jobs append.
            offset = log.offset if log.offset <= status.st_size else 0
            file.seek(max(offset, status.st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace")
    return ""
