"""Give each scheduler its spawner: the names and defaults that configurations rely on.

The command and expression traits are only used when a site changes one of them; otherwise the
scheduler layer does the work.
"""

from __future__ import annotations

import os
import pwd
import re
from typing import Any

from traitlets import Dict, Unicode, default

from .environment import UserEnvMixin
from .regexstates import BatchSpawnerRegexStates


class SlurmSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Start servers as jobs of Slurm."""

    scheduler_name = "slurm"

    req_cluster = Unicode("", help="Cluster, or clusters, to submit to (sbatch -M).").tag(
        config=True
    )
    req_qos = Unicode("", help="Quality of service to ask for.").tag(config=True)
    req_reservation = Unicode("", help="Reservation to run in.").tag(config=True)
    req_gres = Unicode("", help="Generic resources to ask for, such as gpu:1.").tag(config=True)
    req_srun = Unicode(
        "srun",
        help="What starts the server inside the job. Started by srun, it is a job step, and gets "
        "SIGTERM when the job is cancelled; empty: started directly.",
    ).tag(config=True)

    batch_submit_cmd = Unicode("sbatch --parsable").tag(config=True)
    batch_query_cmd = Unicode("squeue -h -j {job_id} -o '%T %B'").tag(config=True)
    batch_cancel_cmd = Unicode("scancel {job_id}").tag(config=True)
    state_pending_re = Unicode(r"^(?:PENDING|CONFIGURING)").tag(config=True)
    state_running_re = Unicode(r"^(?:RUNNING|COMPLETING)").tag(config=True)
    state_unknown_re = Unicode(
        r"^slurm_load_jobs error: "
        r"(?:Socket timed out on send/recv|Unable to contact slurm controller)"
    ).tag(config=True)
    state_exechost_re = Unicode(r"\s+((?:[\w_-]+\.?)+)$").tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return the number in the last line of `sbatch --parsable`, without its cluster."""
        job_id = output.strip().split("\n")[-1].split(";")[0]
        try:
            return str(int(job_id))
        except ValueError:
            self.log.error("%s: no job id in %r", self._log_name, output)
            raise


class MultiSlurmSpawner(SlurmSpawner):
    """Start servers on nodes of Slurm whose names are not those of hosts."""

    daemon_resolver = Dict(
        {}, help="Host on which each node of Slurm lives, by the node's name."
    ).tag(config=True)

    def connect_host(self, host: str) -> str:
        """Return the host behind the name of a node."""
        return str(self.daemon_resolver.get(host, host))

    def state_gethost(self) -> str | None:
        host = super().state_gethost()
        return self.connect_host(host) if host else host


class LocalQueueSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Start servers as jobs of the embedded queue of this machine.

    The jobs belong to the user who runs the Hub, unless `exec_prefix` says otherwise.
    """

    scheduler_name = "local"

    ip = Unicode("127.0.0.1", help="Address on which the server listens.").tag(config=True)
    exec_prefix = Unicode("", help="What goes before the queue's commands, such as sudo.").tag(
        config=True
    )
    batch_submit_cmd = Unicode("batchspawner-queue submit").tag(config=True)
    batch_query_cmd = Unicode("batchspawner-queue query {job_id}").tag(config=True)
    batch_cancel_cmd = Unicode("batchspawner-queue cancel {job_id}").tag(config=True)
    state_pending_re = Unicode(r'"state": "PENDING"').tag(config=True)
    state_running_re = Unicode(r'"state": "RUNNING"').tag(config=True)
    state_exechost_re = Unicode(r'"host": "([^"]+)"').tag(config=True)

    def parse_job_id(self, output: str) -> str:
        match = re.search(r"[0-9]+", output)
        if not match:
            raise ValueError(f"no job id in {output!r}")
        return match[0]

    def _owner(self) -> pwd.struct_passwd:
        return (
            pwd.getpwnam(self.user.name) if self.exec_prefix.strip() else pwd.getpwuid(os.getuid())
        )

    @default("req_homedir")
    def _req_homedir_default(self) -> str:
        return self._owner().pw_dir

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        owner: Any = self._owner()
        return {**env, "USER": owner.pw_name, "HOME": owner.pw_dir, "SHELL": owner.pw_shell}
