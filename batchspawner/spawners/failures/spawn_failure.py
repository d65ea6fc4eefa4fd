"""The failure of a start, as JupyterHub shows it to the user."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyterhub import spawner as jupyterhub_spawner
from markupsafe import Markup, escape
from tornado import web

from ...errors import SubmitError
from ...message import Joined, Message, capital, headed
from ...translation import ENGLISH, has_reader, translated, translated_by
from ...translation import gettext as _
from .causes import CRASHED, REFUSED, UNSENT, Cause, cause_of, exit_meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...errors import SchedulerError
    from ...jobs import JobInfo
    from ...translation import Catalogue
    from ..server_job import ServerJob


@dataclass(frozen=True)
class FailureDetails:
    """What a user is told of a failure. `explanation` is what is known besides its cause.

    `for_admin` is what an administrator can do, where the user can do nothing. What the properties
    return is in the language of whoever reads it now.
    """

    cause: Cause
    explanation: str = ""
    job_id: str = ""
    log: str = ""
    tail: str = ""
    for_admin: str = ""

    @property
    def location(self) -> str:
        """Which job it was, and the path of its log."""
        job = _("Job %(job)s.", job=self.job_id) if self.job_id else ""
        log = _("Its log is %(path)s.", path=self.log) if self.log else ""
        return " ".join(text for text in (job, log) if text)

    @property
    def _sentences(self) -> list[str]:
        """What is known besides the title: each a sentence, with its full stop."""
        told = map(translated, (self.explanation, self.cause.advice, self.for_admin))
        return [one if one.endswith((".", "!", "?")) else f"{one}." for one in told if one]

    @property
    def text(self) -> str:
        """The whole as plain text."""
        parts = (translated(self.cause.title), *self._sentences, self.location)
        text = " ".join(part for part in parts if part)
        return f"{text} {_('It ends with:')}\n{self.tail}" if self.tail else text

    @property
    def html(self) -> str:
        """The whole as HTML; everything that others wrote is escaped."""
        parts = [Markup("<strong>{}</strong>").format(translated(self.cause.title))]
        parts += map(escape, self._sentences)
        if self.job_id or self.log:
            parts.append(Markup("<small>{}</small>").format(self.location))
        page = Markup("<br>").join(parts)
        if self.tail:
            page += Markup(
                '<details open style="text-align:left"><summary>{}</summary>'
                '<pre tabindex="0" style="white-space:pre-wrap">{}</pre></details>'
            ).format(_("The end of its log"), self.tail)
        return str(page)


# JupyterHub's own class for such failures since 6.0; older ones show an HTTPError as well.
_BASE: Any = getattr(jupyterhub_spawner, "SpawnException", web.HTTPError)


class SpawnFailure(_BASE, RuntimeError):
    """A server that did not come up; JupyterHub shows its message to the user."""

    catalogue: Catalogue = ENGLISH
    """Language of who has started the server; JupyterHub's own pages know no other reader."""

    def __init__(self, message: str = "", details: FailureDetails | None = None) -> None:
        self.details = details or FailureDetails(
            Cause(CRASHED.word, Message(""), Message("")), message
        )
        with translated_by(ENGLISH):
            self._english, html = self.details.text, self.details.html
        if _BASE is web.HTTPError:
            _BASE.__init__(self, 500, self._english)
        else:
            _BASE.__init__(
                self,
                self._english,
                reason=self.details.cause.word,
                message_html=html,
                status_code=500,
            )

    @property
    def jupyterhub_message(self) -> str:
        """What JupyterHub shows as text."""
        with self._translated():
            return self.details.text

    @property
    def jupyterhub_html_message(self) -> str:
        """What JupyterHub shows as HTML."""
        with self._translated():
            return self.details.html

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if has_reader() else translated_by(self.catalogue)

    def __str__(self) -> str:
        """Return the text in English, for logs."""
        return self._english


@contextlib.contextmanager
def failures_in(catalogue: Catalogue) -> Iterator[None]:
    """Set the language of the failures that pass through, for pages that know no other reader."""
    try:
        yield
    except SpawnFailure as failure:
        failure.catalogue = catalogue
        raise


def failure_of_submit(title: str, error: SchedulerError) -> SpawnFailure:
    """Return the failure of a job that the scheduler did not accept."""
    if not isinstance(error, SubmitError):
        explanation = headed(Message(capital(title)), error.message)
        return SpawnFailure(details=FailureDetails(UNSENT, explanation))
    if not error.result:
        # Not the scheduler's words, but those of the launcher or of sudo.
        return SpawnFailure(details=FailureDetails(UNSENT, capital(error.message)))
    said, scheduler = error.result.text, Message(capital(title))
    told = Message("%(scheduler)s says: %(reason)s", scheduler=scheduler, reason=said)
    return SpawnFailure(details=FailureDetails(REFUSED, told))


def failure_of_job(
    job: ServerJob, status: JobInfo, tail: str, api_url: Callable[[], str]
) -> SpawnFailure:
    """Return the failure of a job that has ended before its server was there.

    `tail` is the end of its log; `api_url` returns the address of the Hub that it was given.
    """
    state = status.describe()
    ended = Message("The job ended: %(state)s.", state=state)
    if status.start is None:
        ended = Message("The job ended before it ran: %(state)s.", state=state)
    parts = (ended, exit_meaning(status.exit_code, api_url), job.alarm)
    explanation = Joined(" ", [part for part in parts if part])
    return SpawnFailure(
        details=FailureDetails(cause_of(status, tail), explanation, job.id, job.log_path, tail)
    )
