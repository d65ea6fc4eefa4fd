"""Say to the user why there is no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyterhub import spawner as spawner_module
from markupsafe import Markup, escape
from tornado import web

from ...errors import SubmitError
from ..progress.messages import capital
from .causes import CRASHED, REFUSED, UNSENT, Cause, cause_of
from .job_log import log_tail

if TYPE_CHECKING:
    from ...errors import SchedulerError
    from ...jobs import JobInfo

# What batchspawner.singleuser and the shell end with.
_EXIT_MEANINGS = {
    69: "The Hub did not accept its report.",
    71: "All ports on which its server may listen are in use there.",
    75: "Its node could not reach the Hub at {api_url}.",
    78: "Its environment was not complete.",
    126: "A command could not be run on its node.",
    127: "A command was not found on its node.",
}


@dataclass(frozen=True)
class Story:
    """Hold what a user is told of a failure. `said` is what is known of it besides its cause."""

    cause: Cause
    said: str = ""
    job_id: str = ""
    log: str = ""
    tail: str = ""

    @property
    def where(self) -> str:
        """Which job it was, and where its log lies."""
        log = f"Its log is {self.log}." if self.log else ""
        return " ".join(
            text for text in (f"Job {self.job_id}." if self.job_id else "", log) if text
        )

    @property
    def text(self) -> str:
        """The whole, for pages and programs that know no HTML."""
        parts = (self.cause.title, _sentence(self.said), self.cause.advice, self.where)
        text = " ".join(part for part in parts if part)
        return f"{text} It ends with:\n{self.tail}" if self.tail else text

    @property
    def html(self) -> str:
        """The same for a page; every text of others is escaped."""
        parts = [Markup("<strong>{}</strong>").format(self.cause.title)]
        parts += [escape(one) for one in (_sentence(self.said), self.cause.advice) if one]
        if self.job_id or self.log:
            parts.append(Markup("<small>{}</small>").format(self.where))
        page = Markup("<br>").join(parts)
        if self.tail:
            page += Markup(
                '<details open style="text-align:left"><summary>The end of its log</summary>'
                '<pre tabindex="0" style="white-space:pre-wrap">{}</pre></details>'
            ).format(self.tail)
        return str(page)


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


# JupyterHub's own class for such failures, or what an older one shows as well.
_BASE: Any = getattr(spawner_module, "SpawnException", web.HTTPError)


class SpawnFailure(_BASE, RuntimeError):
    """Report a server that did not come up; JupyterHub shows its message to its user."""

    def __init__(self, message: str = "", story: Story | None = None) -> None:
        story = story or Story(Cause(CRASHED.word, "", ""), message)
        if _BASE is web.HTTPError:
            _BASE.__init__(self, 500, story.text)
        else:
            _BASE.__init__(
                self, story.text, reason=story.cause.word, message_html=story.html, status_code=500
            )
        self.story = story
        # What JupyterHub < 6 shows.
        self.jupyterhub_message = story.text
        self.jupyterhub_html_message = story.html

    def __str__(self) -> str:
        return str(self.jupyterhub_message)


def exit_meaning(spawner: Any, code: int | None) -> str:
    """Return a sentence about an exit status of a job, where there is something to say."""
    if code not in _EXIT_MEANINGS:
        return ""
    api_url = spawner.get_env().get("JUPYTERHUB_API_URL", "")
    return _EXIT_MEANINGS[code].format(api_url=api_url)


def failure_of_submit(title: str, error: SchedulerError) -> SpawnFailure:
    """Return the failure of a job that the scheduler did not take."""
    if not isinstance(error, SubmitError):
        return SpawnFailure(story=Story(UNSENT, f"{capital(title)}: {error.message}"))
    if not error.result:
        # Not the scheduler's words, but those of the launcher or of sudo.
        return SpawnFailure(story=Story(UNSENT, capital(error.message)))
    return SpawnFailure(story=Story(REFUSED, f"{capital(title)} says: {error.result.text}"))


async def failure_of_job(spawner: Any, status: JobInfo) -> SpawnFailure:
    """Return the failure of a job that has ended before its server was there."""
    tail = await log_tail(spawner)
    said = "The job ended before it ran" if status.start is None else "The job ended"
    parts = [f"{said}: {status.describe()}.", exit_meaning(spawner, status.exit_code)]
    parts.append(spawner.claim_alarm)
    return SpawnFailure(
        story=Story(
            cause_of(status, tail),
            " ".join(part for part in parts if part),
            spawner.job_id,
            spawner.job_log,
            tail,
        )
    )
