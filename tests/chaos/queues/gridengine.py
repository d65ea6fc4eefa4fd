"""A real Grid Engine, and what chaos does to it."""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from typing import ClassVar

import psutil

from tests.chaos.queues.base import Job, Queue, processes_with
from tests.sites import GridEngineSite

STATES = {"r": "RUNNING", "t": "RUNNING", "Rr": "RUNNING", "Rt": "RUNNING"}
"""States of jobs that run; all that wait have a q in theirs."""


class GridEngineQueue(GridEngineSite, Queue):
    """A real Grid Engine, whose jobs are those of three users, and may be started again.

    A job whose sge_shepherd is killed has ended for Grid Engine, which leaves its processes alone.
    """

    users = GridEngineSite.users[:2]
    account = GridEngineSite.users[2]
    commands = ("qstat", "qsub", "qdel", "qacct")
    resources: ClassVar[dict[str, str]] = {"runtime": "30m", "options": "-r y"}
    more_config = """
c.GridengineSpawner.exec_prefix = "sudo -E -H -u {username} env PATH=" + os.environ["PATH"]
"""

    def live_jobs(self) -> list[Job]:
        listing = ET.fromstring(self.cluster.run("qstat", "-xml", "-u", "*"))
        jobs = [self._job(record) for record in listing.iter("job_list")]
        return sorted(jobs, key=lambda job: int(_number(job)))

    def _job(self, record: ET.Element) -> Job:
        number, tasks = record.findtext("JB_job_number", ""), record.findtext("tasks", "")
        state = record.findtext("state", "")
        waits = "q" in state and "E" not in state
        return Job(
            f"{number}.{tasks}" if tasks else number,
            "PENDING" if waits else STATES.get(state, state),
            self._name(number),
        )

    def _name(self, number: str) -> str:
        """Return the name that a job's script gives it: its name in the listing is its tag."""
        with contextlib.suppress(OSError):
            script = self.cluster.prefix / "spool" / "qmaster" / "job_scripts" / number
            found = re.search(r"(?m)^#\$ -N (\S+)$", script.read_text())
            return found[1] if found else ""
        return ""

    def processes(self, job: Job) -> list[psutil.Process]:
        _, _, task = job.id.partition(".")
        wanted = {"SGE_TASK_ID": task} if task else {}
        root = str(self.cluster.prefix)
        return processes_with(SGE_ROOT=root, JOB_ID=_number(job), **wanted)

    def daemons(self, job: Job | None = None) -> list[psutil.Process]:
        """Return sge_qmaster, or the sge_execd of all nodes."""
        pattern = "qmaster/qmaster.pid" if job is None else "execd/*/execd.pid"
        found = []
        for file in (self.cluster.prefix / "spool").glob(pattern):
            with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
                process = psutil.Process(int(file.read_text()))
                # Another process may have its id by now.
                found += [process] if process.name() == f"sge_{file.stem}" else []
        return found

    def stop_daemons(self) -> None:
        """End sge_qmaster; killed, it would give the numbers of its last jobs a second time."""
        if all(one.status() != psutil.STATUS_STOPPED for one in self.daemons()):
            self.cluster.script("kill-master")

    def restore(self) -> None:
        self.start()
        # A queue that could not start a job takes no other one until its manager says so.
        with contextlib.suppress(AssertionError):
            self.cluster.run("qmod", "-cq", "*")

    def cancel(self, job_id: str) -> None:
        number, _, task = job_id.partition(".")
        self.cluster.run("qdel", number, *(("-t", task) if task else ()))


def _number(job: Job) -> str:
    return job.id.partition(".")[0]
