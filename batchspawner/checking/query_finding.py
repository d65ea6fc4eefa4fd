"""The finding about a query command of the configuration, and what reads its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .findings import Finding, ok, wrong

if TYPE_CHECKING:
    from .hub_host import Target
    from .job_control import CommandControl
    from .probe_job import ProbeRun

_MAX_ANSWER_LENGTH = 300


def query_finding(target: Target, control: CommandControl, run: ProbeRun) -> Finding:
    """Return whether the Hub sees by the query what the job itself has reported."""
    section, status = target.section, run.status
    answer = repr(control.answer[:_MAX_ANSWER_LENGTH])
    printed = f"c.{section}.batch_query_cmd printed {answer}"
    if run.query_error is not None:
        return wrong("query", f"the query fails: {run.query_error}; {printed}")
    if run.facts is None:
        return ok("query", printed)
    if status is None or status.gone or status.state.is_waiting:
        pattern = getattr(target.spawner, "state_running_re", "")
        reader = f"c.{section}.state_running_re = {pattern!r}" if pattern else "state_isrunning"
        text = f"the job runs and has reported, but {printed}, which does not mean so: see {reader}"
        return wrong("query", text)
    if not status.host and not target.spawner.trust_reported_host:
        pattern = getattr(target.spawner, "state_exechost_re", "")
        reader = f"c.{section}.state_exechost_re = {pattern!r}" if pattern else "state_gethost"
        text = f"the job runs, but {printed}, in which no host is found: see {reader}"
        return wrong("query", text)
    return ok("query", f"{printed}: the job runs on {status.host or 'an unknown host'}")
