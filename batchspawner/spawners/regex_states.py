"""Spawners whose query command is read by regular expressions."""

from __future__ import annotations

import re
from typing import Any

from traitlets import Unicode

from .base import BatchSpawnerBase


class BatchSpawnerRegexStates(BatchSpawnerBase):
    """Spawner that reads `job_status` by regular expressions of the configuration.

    They are searched with `re.search` in what `batch_query_cmd` printed, first running, then
    pending, then unknown; a text that none of them matches means that the job is gone.
    """

    state_pending_re = Unicode("", help="Matches the text about a waiting job.").tag(config=True)
    state_running_re = Unicode("", help="Matches the text about a running job.").tag(config=True)
    state_exechost_re = Unicode(
        "", help="Matches the text about a running job; its first group is the host."
    ).tag(config=True)
    state_exechost_exp = Unicode(
        "",
        help="Makes the host's name from the match of state_exechost_re, in the notation of "
        "`re.Match.expand`; empty: the first group.",
    ).tag(config=True)
    state_unknown_re = Unicode(
        "", help="Matches a text that says nothing about the job; empty: never."
    ).tag(config=True)

    def state_ispending(self) -> Any:
        return self._search("state_pending_re")

    def state_isrunning(self) -> Any:
        return self._search("state_running_re")

    def state_isunknown(self) -> Any:
        return self._search("state_unknown_re") if self.state_unknown_re else None

    def state_gethost(self) -> str | None:
        match = self._search("state_exechost_re")
        if not match:
            self.log.error(
                "%s: c.%s.state_exechost_re finds no host in %r",
                self.log_name,
                type(self).__name__,
                self.job_status,
            )
            return None
        if self.state_exechost_exp:
            return str(match.expand(self.state_exechost_exp))
        return str(match.groups()[0])

    def _search(self, trait: str) -> re.Match[str] | None:
        pattern: str = getattr(self, trait)
        if not pattern:
            raise RuntimeError(f"c.{type(self).__name__}.{trait} is not set in the configuration")
        return re.search(pattern, self.job_status or "")
