"""Spawner for OAR."""

from __future__ import annotations

import re

from traitlets import Unicode

from .regex_states import BatchSpawnerRegexStates
from .traits.environment import UserEnvMixin


class OarSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Spawner of servers that are OAR jobs."""

    scheduler_name = "oar"

    batch_submit_cmd = Unicode("oarsub").tag(config=True)
    batch_query_cmd = Unicode("oarstat -J -j {job_id}").tag(config=True)
    batch_cancel_cmd = Unicode("oardel {job_id}").tag(config=True)
    state_pending_re = Unicode(r'"state" : "(?:Waiting|Hold|toLaunch|Launching)"').tag(config=True)
    state_running_re = Unicode(r'"state" : "(?:Running|Finishing)"').tag(config=True)
    state_exechost_re = Unicode(r'"assigned_network_address" : \[\s*"([^"]+)"').tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return N of the line ``OAR_JOB_ID=N``."""
        match = re.search(r"^OAR_JOB_ID=([0-9]+)$", output, re.MULTILINE)
        if not match:
            raise ValueError(f"oarsub named no job: {output!r}")
        return match[1]
