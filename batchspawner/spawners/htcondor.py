"""Spawner for HTCondor."""

from __future__ import annotations

import re

from traitlets import Unicode

from .regex_states import BatchSpawnerRegexStates
from .traits.environment import UserEnvMixin


class CondorSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Spawner of servers that are HTCondor jobs."""

    scheduler_name = "htcondor"

    batch_submit_cmd = Unicode("condor_submit").tag(config=True)
    batch_query_cmd = Unicode(
        'condor_q {job_id} -format "%s, " JobStatus -format "%s" RemoteHost -format "\n" True'
    ).tag(config=True)
    batch_cancel_cmd = Unicode("condor_rm {job_id}").tag(config=True)
    state_pending_re = Unicode(r"^1,").tag(config=True)
    state_running_re = Unicode(r"^2,").tag(config=True)
    state_exechost_re = Unicode(r"^\w*, .*@([^ ]*)").tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return N of ``1 job(s) submitted to cluster N.``"""
        match = re.search(r"submitted to cluster ([0-9]+)", output)
        if not match:
            raise ValueError(f"condor_submit named no cluster: {output!r}")
        return match[1]

    def cmd_formatted_for_batch(self) -> str:
        """Return the command with doubled quotes, for the line ``Arguments`` of a description."""
        return super().cmd_formatted_for_batch().replace('"', '""').replace("'", "''")
