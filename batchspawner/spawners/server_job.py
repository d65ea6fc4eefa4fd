"""The job of one server: what is known of it, and what a later Hub process must know again."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..concurrency import SmallEvent

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
    "log_changed_at": "job_log_changed",
    "submitted_at": "submitted_at",
    "waited": "waited",
    "progress": "story",
    "requested": "requested",
}
"""Key of each saved field in JupyterHub's database. `job_id` and `job_status` are those of 1.x."""

_HOST_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,253}")

_MAX_EARLY_CLAIMS = 10

_MAX_STAGES = 50
"""Number of stages that are kept of a start: a scheduler may give another reason every minute."""


class JobStatus(Enum):
    """The four answers of `query_job_status`, as configurations and subclasses know them."""

    NOTFOUND = 0
    RUNNING = 1
    PENDING = 2
    UNKNOWN = 3


class Stage(NamedTuple):
    """Stage of a start: a percentage, what was told, and when, in seconds since the epoch.

    The text is a message until a later Hub process reads it, which only knows it in English.
    """

    percent: int
    text: str
    at: float = 0.0


@dataclass(eq=False)
class ServerJob:
    """The job of one server. Only its own methods change it; each says what has happened.

    `native_status` is the scheduler's own text about the job. `tag` stands in the job's name, and
    finds it again before its id is known. `claim` is the record of its claim code. `host` and
    `port` are where the server answers, `reported_host` and `reported_port` what the job itself
    said, `unconfirmed_port` the port that it promised to confirm. The log at `log_path` had
    `log_offset` bytes before this job, and was last changed at `log_changed_at`. That and
    `submitted_at` are in seconds since the epoch, `waited` in seconds, `progress` what the user was
    told, and `requested` what the job asks for.

    Not saved: `alarm`, what the user must know of a misused claim code; `early_claims`, who claimed
    before the job ran, and when last while it waited; and `reported_at`. Times are on the clock of
    `time.monotonic`.
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
    log_changed_at: float = 0.0
    submitted_at: float = 0.0
    waited: float = 0.0
    progress: list[Stage] = field(default_factory=list)
    requested: dict[str, str] = field(default_factory=dict)
    alarm: str = ""
    early_claims: dict[str, float] = field(default_factory=dict, repr=False)
    reported_at: float | None = None
    _report: SmallEvent | None = None
    _first_early: float | None = None

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
        # Not the messages themselves: JupyterHub may give this back before it is written.
        state["story"] = [[stage.percent, str(stage.text), stage.at] for stage in self.progress]
        if not self.reported_port and (self.host, self.port) == address:
            del state["job_host"], state["job_port"]
        return {key: value for key, value in state.items() if value}

    @property
    def report(self) -> SmallEvent:
        """Event that is set when the job has reported where its server listens."""
        if self._report is None:
            self._report = SmallEvent()
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
        self,
        job_id: str,
        log_path: str = "",
        log_offset: int = 0,
        log_changed_at: float = 0.0,
        at: float = 0.0,
        requested: Mapping[str, str] | None = None,
    ) -> None:
        """Note the id of the job that the scheduler has accepted, its log, and what it asks for.

        The log had `log_offset` bytes, and was last changed at `log_changed_at`.
        """
        self.identified(job_id)
        self.log_path = log_path
        self.found_log(log_offset, log_changed_at)
        self.submitted_at = at
        self.requested = dict(requested or {})

    def found_log(self, offset: int, changed_at: float) -> None:
        """Note how many bytes of its log, and from when, are those of earlier jobs."""
        self.log_offset = offset
        self.log_changed_at = changed_at

    def observed(self, native_status: str) -> None:
        """Note what the scheduler says about the job, in its own words."""
        self.native_status = _text("job_status", native_status)

    def started(self, waited: float) -> None:
        """Note for how many seconds the job waited until it ran."""
        self.waited = waited

    def claimed(self, claim: Mapping[str, Any]) -> None:
        """Note that the claim code was used: its record after the use."""
        self.claim = claim
        self.early_claims, self._first_early = {}, None

    def claimed_early(self, claimant: str) -> float:
        """Note a claim while the job waits; return the seconds since the first one."""
        now = time.monotonic()
        if self._first_early is None:
            self._first_early = now
        if claimant in self.early_claims or len(self.early_claims) < _MAX_EARLY_CLAIMS:
            self.early_claims[claimant] = now
        return now - self._first_early

    def claimed_unidentified(self, claimant: str) -> None:
        """Note a claim before the job's id is known: it may be that of a job that has begun."""
        if len(self.early_claims) < _MAX_EARLY_CLAIMS:
            self.early_claims.setdefault(claimant, -math.inf)

    def alarmed(self, alarm: str) -> None:
        """Note that somebody else may have used the claim code."""
        self.alarm = alarm

    def reported(self, port: int, host: str = "", *, confirms: bool = False) -> None:
        """Note where the job says that its server will listen; it `confirms` once it does.

        `host` is left out if it is no name of a host.
        """
        if _HOST_NAME.fullmatch(host):
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

    def requeued(self) -> None:
        """Note that the job waits again: where its server was, it is not any more."""
        self.host, self.port = "", 0
        self.reported_host, self.reported_port, self.unconfirmed_port = "", 0, 0
        self.reported_at = None
        self.report.clear()

    def progressed(self, percent: int, message: str) -> bool:
        """Note what the user is told of the start; return whether that is a further stage.

        The percentage never goes back, and nothing is told twice.
        """
        if any(stage.text == message for stage in self.progress):
            return False
        reached = max((stage.percent for stage in self.progress), default=0)
        stage = Stage(max(percent, reached), message, time.time())
        self.progress = [*self.progress[:1], *self.progress[1:][2 - _MAX_STAGES :], stage]
        return True

    def ended(self) -> None:
        """Forget the job; the next one of the server is another."""
        vars(self).update(vars(ServerJob()))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {value!r}")
    return value


def _stages(value: object) -> list[Stage]:
    """Return the progress in a saved state; the times are missing in those of early releases."""
    entries = value if isinstance(value, list) else []
    return [Stage(*entry) for entry in entries if _is_stage(entry)]


def _is_stage(entry: object) -> bool:
    types = [type(part) for part in entry] if isinstance(entry, list) else []
    return types in ([int, str], [int, str, int], [int, str, float])
