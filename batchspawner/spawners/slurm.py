"""Spawners for Slurm.

The command and expression traits are only used when a site changes one of them; otherwise the
scheduler layer does the work.
"""

from __future__ import annotations

import re

from traitlets import Dict, Unicode

from .regex_states import BatchSpawnerRegexStates
from .traits.environment import UserEnvMixin

_PRINTED_ID = re.compile(r"[0-9]+(;\S+)?\s*")


class SlurmSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Spawner of servers that are Slurm jobs."""

    scheduler_name = "slurm"

    req_cluster = Unicode("", help="Cluster, or clusters, to submit to (sbatch -M).").tag(
        config=True
    )
    req_qos = Unicode("", help="Quality of service to ask for.").tag(config=True)
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
        """Return the number that `sbatch --parsable` printed, without its cluster.

        Sites print notices around it; it has a line of its own.
        """
        lines = output.strip().split("\n")
        line = next((one for one in reversed(lines) if _PRINTED_ID.fullmatch(one)), lines[-1])
        job_id = line.split(";")[0]
        try:
            return str(int(job_id))
        except ValueError:
            self.log.error("%s: no job id in %r", self.log_name, output)
            raise


class MultiSlurmSpawner(SlurmSpawner):
    """Spawner for a Slurm whose nodes have other names than their hosts."""

    daemon_resolver = Dict(
        {}, help="Host on which each node of Slurm lives, by the node's name."
    ).tag(config=True)

    def connect_host(self, host: str) -> str:
        """Return the host behind the name of a node."""
        return str(self.daemon_resolver.get(host, host))

    def state_gethost(self) -> str | None:
        host = super().state_gethost()
        return self.connect_host(host) if host else host
