"""The failure of a start, as JupyterHub shows it to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyterhub import spawner as jupyterhub_spawner
from markupsafe import Markup, escape
from tornado import web

from ...errors import SubmitError
from .causes import CRASHED, REFUSED, UNSENT, Cause, cause_of, exit_meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...errors import SchedulerError
    from ...jobs import JobInfo
    from ..server_job import ServerJob


@dataclass(frozen=True)
class FailureDetails:
    """What a user is told of a failure. `explanation` is what is known besides its cause."""

    cause: Cause
    explanation: str = ""
    job_id: str = ""
    log: str = ""
    tail: str = ""

    @property
    def location(self) -> str:
        """Which job it was, and the path of its log."""
        log = f"Its log is {self.log}." if self.log else ""
        return " ".join(
            text for text in (f"Job {self.job_id}." if self.job_id else "", log) if text
        )

    @property
    def text(self) -> str:
        """The whole as plain text."""
        parts = (self.cause.title, _sentence(self.explanation), self.cause.advice, self.location)
        text = " ".join(part for part in parts if part)
        return f"{text} It ends with:\n{self.tail}" if self.tail else text

    @property
    def html(self) -> str:
        """The whole as HTML; everything that others wrote is escaped."""
        parts = [Markup("<strong>{}</strong>").format(self.cause.title)]
        parts += [escape(one) for one in (_sentence(self.explanation), self.cause.advice) if one]
        if self.job_id or self.log:
            parts.append(Markup("<small>{}</small>").format(self.location))
        page = Markup("<br>").join(parts)
        if self.tail:
            page += Markup(
                '<details open style="text-align:left"><summary>The end of its log</summary>'
                '<pre tabindex="0" style="white-space:pre-wrap">{}</pre></details>'
            ).format(self.tail)
        return str(page)


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


# JupyterHub's own class for such failures since 6.0; older ones show an HTTPError as well.
_BASE: Any = getattr(jupyterhub_spawner, "SpawnException", web.HTTPError)


class SpawnFailure(_BASE, RuntimeError):
    """A server that did not come up; JupyterHub shows its message to the user."""

    def __init__(self, message: str = "", details: FailureDetails | None = None) -> None:
        details = details or FailureDetails(Cause(CRASHED.word, "", ""), message)
        if _BASE is web.HTTPError:
            _BASE.__init__(self, 500, details.text)
        else:
            _BASE.__init__(
                self,
                details.text,
                reason=details.cause.word,
                message_html=details.html,
                status_code=500,
            )
        self.details = details
        # What JupyterHub < 6 shows.
        self.jupyterhub_message = details.text
        self.jupyterhub_html_message = details.html

    def __str__(self) -> str:
        return str(self.jupyterhub_message)


def failure_of_submit(title: str, error: SchedulerError) -> SpawnFailure:
    """Return the failure of a job that the scheduler did not accept."""
    if not isinstance(error, SubmitError):
        return SpawnFailure(details=FailureDetails(UNSENT, f"{capital(title)}: {error.message}"))
    if not error.result:
        # Not the scheduler's words, but those of the launcher or of sudo.
        return SpawnFailure(details=FailureDetails(UNSENT, capital(error.message)))
    return SpawnFailure(
        details=FailureDetails(REFUSED, f"{capital(title)} says: {error.result.text}")
    )


def failure_of_job(
    job: ServerJob, status: JobInfo, tail: str, api_url: Callable[[], str]
) -> SpawnFailure:
    """Return the failure of a job that has ended before its server was there.

    `tail` is the end of its log; `api_url` returns the address of the Hub that it was given.
    """
    ended = "The job ended before it ran" if status.start is None else "The job ended"
    parts = (f"{ended}: {status.describe()}.", exit_meaning(status.exit_code, api_url), job.alarm)
    explanation = " ".join(part for part in parts if part)
    return SpawnFailure(
        details=FailureDetails(cause_of(status, tail), explanation, job.id, job.log_path, tail)
    )


def capital(text: str) -> str:
    """Return a text with its first character in upper case, as a sentence begins."""
    return text[:1].upper() + text[1:]
