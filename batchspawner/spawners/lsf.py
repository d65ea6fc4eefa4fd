"""Spawner for LSF."""

from __future__ import annotations

import os
import re

from traitlets import Unicode

from .base import BatchSpawnerBase

_VARIABLES = ("LSF_ENVDIR", "LSF_SERVERDIR", "LSF_FULL_VERSION", "LSF_LIBDIR", "LSF_BINDIR")
_PENDING = {"PEND", "PSUSP", "PUSP"}


class LsfSpawner(BatchSpawnerBase):
    """Spawner of servers that are LSF jobs."""

    scheduler_name = "lsf"

    batch_submit_cmd = Unicode("bsub").tag(config=True)
    batch_query_cmd = Unicode('bjobs -a -noheader -o "STAT EXEC_HOST" {job_id}').tag(config=True)
    batch_cancel_cmd = Unicode("bkill {job_id}").tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return N of ``Job <N> is submitted to queue <normal>.``"""
        match = re.search(r"^Job <([0-9]+)>", output, re.MULTILINE)
        return match[1] if match else output.split(" ")[1].strip("<>")

    def state_ispending(self) -> bool:
        return self._word(0).upper() in _PENDING

    def state_isrunning(self) -> bool:
        return self._word(0).upper() == "RUN"

    def state_gethost(self) -> str | None:
        # "2*node1:node2": two slots on node1, then node2.
        host = self._word(1).split(":")[0].rpartition("*")[2]
        if not host:
            self.log.error("%s: no host in %r", self.log_name, self.job_status)
            return None
        return host

    def _word(self, number: int) -> str:
        words = self.job_status.split()
        return words[number] if len(words) > number else ""

    def get_env(self) -> dict[str, str]:
        """Add the variables by which LSF's commands and jobs find their cluster."""
        env = super().get_env()
        for name in _VARIABLES:
            if name in os.environ:
                env.setdefault(name, os.environ[name])
        return env
