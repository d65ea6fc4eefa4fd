"""Answers of a site's own query command: where in them a state may begin, and which say "gone"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from ..server_job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..server_job import ServerJob

_MAX_NOTICE_LINES = 100
_MAX_SHOWN_CHARS = 200

_NO_SUCH_JOB = re.compile(
    r"invalid job (?:id|specified)|unknown job|unknown jobid|does not exist|do not exist"
    r"|no such job|job has (?:already )?finished"
    # Not "squeue: command not found", or "sh: 1: squeue: not found".
    r"|\bjob\b[^:\n]* not found",
    re.IGNORECASE,
)


class ReadingSpawner(Protocol):
    """What reads the states in the answers: the methods that sites override."""

    job: ServerJob

    def state_ispending(self) -> object: ...

    def state_isrunning(self) -> object: ...

    def state_isunknown(self) -> object: ...


def read_status(spawner: ReadingSpawner, answer: str) -> JobStatus:
    """Return what an answer says of the job, and note it in the job from there on.

    The login shell of another machine may print notices first, while the expressions of a site are
    often tied to the beginning: what does not match is read again without its first lines.
    Raises what the site's methods raise about the whole.
    """
    failure: Exception | None = None
    for text in _readings(answer):
        spawner.job.observed(text)
        try:
            status = _noted_status(spawner)
        except Exception as error:  # noqa: BLE001  (a site's own method may raise any)
            failure = error if text is answer else failure
        else:
            if status is not JobStatus.NOTFOUND:
                return status
    spawner.job.observed(answer)
    if failure:
        raise failure
    return JobStatus.NOTFOUND


def _readings(answer: str) -> Iterator[str]:
    """Yield an answer, and then what is left without its first line, first two lines, ..."""
    yield answer
    for _ in range(_MAX_NOTICE_LINES):
        _, more, answer = answer.partition("\n")
        if not more:
            return
        yield answer


def _noted_status(spawner: ReadingSpawner) -> JobStatus:
    if spawner.state_isrunning():
        return JobStatus.RUNNING
    if spawner.state_ispending():
        return JobStatus.PENDING
    return JobStatus.UNKNOWN if spawner.state_isunknown() else JobStatus.NOTFOUND


def names_no_job(answer: str) -> bool:
    """Check whether an answer or an error says that the scheduler has no such job."""
    return bool(_NO_SUCH_JOB.search(answer))


def unread_answer(answer: str, *, failed: bool) -> str:
    """Return a sentence about an answer without a state, empty if it says that there is no job.

    `failed` is whether the command has failed, so that its answer may be about something else.
    """
    if names_no_job(answer) or not (answer.strip() or failed):
        return ""
    if failed:
        return f"batch_query_cmd failed again and again: {shown(answer)}."
    return f"What batch_query_cmd printed contains no state that is known: {shown(answer)}."


def shown(answer: str) -> str:
    """Return an answer as it is quoted in a message: in one line that is not too long."""
    return repr(answer if len(answer) <= _MAX_SHOWN_CHARS else f"{answer[:_MAX_SHOWN_CHARS]}...")
