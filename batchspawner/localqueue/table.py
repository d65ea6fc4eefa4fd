"""The jobs of the queue as a table for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..columns import in_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEAD = ("JOB", "STATE", "SLOTS", "TIME", "LEFT", "NAME", "REASON")


def job_table(jobs: Sequence[Mapping[str, object]], now: float) -> str:
    """Return a table of jobs, which are as `query` lists them; `now` is the time in seconds."""
    return in_columns([_HEAD, *(_row(job, now) for job in jobs)]) if jobs else "There is no job."


def _row(job: Mapping[str, object], now: float) -> tuple[str, ...]:
    started, ended, deadline = (_moment(job[name]) for name in ("started", "ended", "deadline"))
    lives = started is not None and ended is None
    return (
        str(job["id"]),
        str(job["state"]),
        str(job["slots"]),
        _clock((ended or now) - started) if started is not None else "-",
        _clock(max(0.0, deadline - now)) if lives and deadline is not None else "-",
        _plain(job["name"]),
        _plain(job["reason"] or _end(job)),
    )


def _moment(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _end(job: Mapping[str, object]) -> str:
    if job["signal"]:
        return f"signal {job['signal']}"
    return f"exit status {job['exit_code']}" if job["exit_code"] else ""


def _plain(text: object) -> str:
    """Return a text without what would control the terminal."""
    return "".join(one if one.isprintable() else "?" for one in str(text))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{time.strftime('%M:%S', time.gmtime(int(seconds) % 3600))}"
