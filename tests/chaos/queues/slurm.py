"""A real Slurm, and what chaos does to it."""

from __future__ import annotations

import contextlib
import subprocess
from typing import ClassVar

import psutil

from tests.chaos.queues.base import Job, Queue, processes_with
from tests.sites import SlurmSite


class SlurmQueue(SlurmSite, Queue):
    """A real Slurm, whose jobs are those of three users.

    What becomes of a job without its slurmstepd is up to Slurm. slurmctld is ended, not killed: it
    would forget the jobs of its last seconds.
    """

    users = SlurmSite.users[:2]
    account = SlurmSite.users[2]
    commands = ("squeue", "sbatch", "scancel")
    resources: ClassVar[dict[str, str]] = {"memory": "300M", "runtime": "30m"}
    more_config = """
c.BatchSpawnerBase.exec_prefix = (
    "sudo -E -H -u {username} env"
    f" PATH={os.environ['PATH']} SLURM_CONF={os.environ['SLURM_CONF']}"
)
"""

    def live_jobs(self) -> list[Job]:
        lines = self.cluster.run("squeue", "-h", "-a", "-S", "i", "-o", "%i|%T|%j|%A").splitlines()
        jobs = [line.strip().split("|") for line in lines]
        return [Job(one, state, name, int(number)) for one, state, name, number in jobs]

    def processes(self, job: Job) -> list[psutil.Process]:
        found = processes_with(SLURM_CONF=str(self.cluster.conf), SLURM_JOB_ID=str(job.leader))
        return [one for one in found if "slurmstepd" not in one.name()]

    def daemons(self, job: Job | None = None) -> list[psutil.Process]:
        """Return slurmctld, or the slurmd of the node of a job."""
        name = "slurmctld"
        if job is not None:
            node = self.cluster.node_of(job.id)
            name = f"slurmd-{node}"
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = (self.cluster.prefix / "run" / f"{name}.pid").read_text()
            return [psutil.Process(int(pid))]
        return []

    def restore(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.start()
            return
        # One that gets a job a second time is drained; only the superuser can end that.
        self.cluster.run("scontrol", "update", "nodename=ALL", "state=resume")
        self.start()
