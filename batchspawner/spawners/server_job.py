"""The job of one server: what is known of it, and what a later Hub process must know again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATE_KEYS = {
    "id": "job_id",
    "native_status": "job_status",
    "tag": "job_tag",
    "host": "job_host",
    "port": "job_port",
    "reported_host": "reported_host",
    "reported_port": "reported_port",
    "unconfirmed_port": "unconfirmed_port",
    "claim": "job_claim",
    "log_path": "job_log",
    "log_offset": "job_log_begins",
    "submitted_at": "submitted_at",
    "waited": "waited",
    "progress": "story",
}
"""Key of each saved field in JupyterHub's database. `job_id` and `job_status` are those of 1.x."""


class JobStatus(Enum):
    """The four answers of `query_job_status`, as configurations and subclasses know them."""

    NOTFOUND = 0
    RUNNING = 1
    PENDING = 2
    UNKNOWN = 3


@dataclass(eq=False)
class ServerJob:
    """The job of one server. Only its own methods change it; each says what has happened.

    `native_status` is the scheduler's own text about the job. `tag` stands in the job's name, and
    finds it again before its id is known. `claim` is the record of its claim code. `host` and
    `port` are where the server answers, `reported_host` and `reported_port` what the job itself
    said, `unconfirmed_port` the port that it promised to confirm. The log at `log_path` had
    `log_offset` bytes before this job. `submitted_at` is in seconds since the epoch, `waited` in
    seconds, `progress` what the user was told: a percentage and a sentence for each stage.

    Not saved: `alarm`, what the user must know of a misused claim code, and `reported_at`, on the
    clock of `time.monotonic`.
    """

    id: str = ""
    native_status: str = ""
    tag: str = ""
    host: str = ""
    port: int = 0
    reported_host: str = ""
    reported_port: int = 0
    unconfirmed_port: int = 0
    claim: Mapping[str, Any] = field(default_factory=dict)
    log_path: str = ""
    log_offset: int = 0
    submitted_at: float = 0.0
    waited: float = 0.0
    progress: list[tuple[int, str]] = field(default_factory=list)
    alarm: str = ""
    reported_at: float | None = None
    _report: asyncio.Event | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> ServerJob:
        """Return the job in a saved state. What is missing there, or of another type, is empty."""
        job = cls()
        for name, key in _STATE_KEYS.items():
            value, empty = state.get(key), getattr(job, name)
            if name == "progress":
                value = _stages(value)
            elif isinstance(value, int) and isinstance(empty, float):
                value = float(value)
            if isinstance(value, type(empty)):
                setattr(job, name, value)
        return job

    def to_state(self, address: tuple[str, int] = ("", 0)) -> dict[str, Any]:
        """Return what is saved of the job: the fields that are not empty.

        `address` is where JupyterHub itself knows the server: host and port of a job that reports
        nothing are not saved twice.
        """
        state = {key: getattr(self, name) for name, key in _STATE_KEYS.items()}
        state["story"] = [list(stage) for stage in self.progress]
        if not self.reported_port and (self.host, self.port) == address:
            del state["job_host"], state["job_port"]
        return {key: value for key, value in state.items() if value}

    @property
    def report(self) -> asyncio.Event:
        """Event that is set when the job has reported where its server listens."""
        if self._report is None:
            # Not before it is needed: Python 3.9 binds it to the loop that runs then.
            self._report = asyncio.Event()
        return self._report

    def prepared(self, claim: Mapping[str, Any], tag: str = "") -> None:
        """Note what is known of the job before it is submitted."""
        self.claim = claim
        self.tag = tag

    def identified(self, job_id: str) -> None:
        """Note the id that the scheduler gave to the job; empty if it gave none.

        Raises TypeError for anything but text, which a site's `parse_job_id` may return.
        """
        self.id = _text("job_id", job_id)

    def submitted(
        self, job_id: str, log_path: str = "", log_offset: int = 0, at: float = 0.0
    ) -> None:
        """Note the id of the job that the scheduler has accepted, its log, and the time."""
        self.identified(job_id)
        self.log_path = log_path
        self.log_offset = log_offset
        self.submitted_at = at

    def observed(self, native_status: str) -> None:
        """Note what the scheduler says about the job, in its own words."""
        self.native_status = _text("job_status", native_status)

    def started(self, waited: float) -> None:
        """Note for how many seconds the job waited until it ran."""
        self.waited = waited

    def claimed(self, claim: Mapping[str, Any]) -> None:
        """Note that the claim code was used: its record after the use."""
        self.claim = claim

    def alarmed(self, alarm: str) -> None:
        """Note that somebody else may have used the claim code."""
        self.alarm = alarm

    def reported(self, port: int, host: str = "", *, confirms: bool = False) -> None:
        """Note where the job says that its server will listen; it `confirms` once it does."""
        if host:
            self.reported_host = host
        self.reported_port = port
        self.unconfirmed_port = port if confirms else 0
        self.reported_at = time.monotonic()
        self.report.set()

    def confirmed(self) -> None:
        """Note that the server itself listens on the port that the job reported."""
        self.unconfirmed_port = 0

    def serving(self, host: str, port: int) -> None:
        """Note where the server is reached."""
        self.host = host
        self.port = port

    def progressed(self, percent: int, message: str) -> bool:
        """Note what the user is told of the start; return whether that is a further stage.

        The percentage never goes back, and a message within a stage replaces the one before.
        """
        reached = self.progress[-1][0] if self.progress else -1
        if percent > reached:
            self.progress = [*self.progress, (percent, message)]
            return True
        self.progress = [*self.progress[:-1], (reached, message)]
        return False

    def ended(self) -> None:
        """Forget the job; the next one of the server is another."""
        vars(self).update(vars(ServerJob()))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {value!r}")
    return value


def _stages(value: object) -> list[tuple[int, str]]:
    """Return the progress in a saved state, which has lists of two in the place of tuples."""
    entries = value if isinstance(value, list) else []
    return [(entry[0], entry[1]) for entry in entries if _is_stage(entry)]


def _is_stage(entry: object) -> bool:
    return isinstance(entry, list) and [type(part) for part in entry] == [int, str]
