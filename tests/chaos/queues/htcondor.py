"""A real HTCondor, and what chaos does to it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import ClassVar

import psutil

from tests.chaos.queues.base import Job, Queue, environment_of
from tests.hubs import wait_for
from tests.processes import called
from tests.real.htcondor import STATES
from tests.sites import HTCondorSite

ATTRIBUTES = "ClusterId,ProcId,JobStatus,JobBatchName,TotalSubmitProcs"


class HTCondorQueue(HTCondorSite, Queue):
    """A real HTCondor, whose jobs are those of three users, and are started again if lost.

    Its master starts each daemon again that is killed.
    """

    users = HTCondorSite.users[:2]
    account = HTCondorSite.users[2]
    commands = ("condor_q", "condor_submit", "condor_rm", "condor_history")
    silent = ("condor_q",)
    resources: ClassVar[dict[str, str]] = {
        "runtime": "30m",
        "options": "job_lease_duration = 30",
    }
    more_config = f"""
c.CondorSpawner.exec_prefix = (
    "sudo -E -H -u {{username}} env PATH=" + os.environ["PATH"]
    + " CONDOR_CONFIG=" + os.environ["CONDOR_CONFIG"]
)
{HTCondorSite.short_lease}"""
    jobs_end_with_node = True

    def live_jobs(self) -> list[Job]:
        printed = self.cluster.run("condor_q", "-allusers", "-json", "-attributes", ATTRIBUTES)
        return [_job(one) for one in json.loads(printed or "[]")]

    def processes(self, job: Job) -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if self._job_of(one) == _numbers(job)]

    def _job_of(self, process: psutil.Process) -> tuple[str, str] | None:
        """Return the numbers of the job that a process belongs to, if it is one of this pool."""
        file = environment_of(process).get("_CONDOR_JOB_AD", "")
        if not file.startswith(str(self.cluster.prefix)):
            return None
        with contextlib.suppress(OSError):
            lines = [line.split(" = ", 1) for line in Path(file).read_text().splitlines()]
            ad = dict(line for line in lines if len(line) == 2)
            return ad.get("ClusterId", ""), ad.get("ProcId", "")
        return None

    def supervisor(self, job: Job) -> list[psutil.Process]:
        """Return the condor_starter of a job."""
        for process in self.processes(job):
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = process.parent()
                if parent is not None and parent.name() == "condor_starter":
                    return [parent]
        return []

    def daemons(self, job: Job | None = None) -> list[psutil.Process]:
        """Return condor_schedd, or the condor_startd of the only node."""
        master = int((self.cluster.prefix / "var" / "master.pid").read_text())
        return called("condor_schedd" if job is None else "condor_startd", master)

    def stop_daemons(self) -> None:
        """Have the master end condor_schedd, and not start it again by itself."""
        self.cluster.run("condor_off", "-schedd", "-fast")

    def restore(self) -> None:
        def answers() -> bool:
            # One that is just ending is not started.
            self.cluster.run("condor_on", "-schedd", check=False)
            return self._answers()

        wait_for(answers, 60, "the schedd")


def _job(ad: dict) -> Job:
    lone = ad.get("TotalSubmitProcs", 1) == 1
    return Job(
        str(ad["ClusterId"]) if lone else f"{ad['ClusterId']}.{ad['ProcId']}",
        STATES.get(ad["JobStatus"], str(ad["JobStatus"])),
        ad.get("JobBatchName", ""),
    )


def _numbers(job: Job) -> tuple[str, str]:
    cluster, _, process = job.id.partition(".")
    return cluster, process or "0"
