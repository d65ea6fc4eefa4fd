"""What chaos sees of the jobs of any scheduler and of their processes, and does to them."""

from __future__ import annotations

import contextlib
from typing import ClassVar, NamedTuple

import psutil

from tests.sites import Site

END_S = 5.0
"""How long a daemon that is to end is waited for."""


class Job(NamedTuple):
    """One job that has not ended."""

    id: str
    state: str
    name: str
    leader: int | None = None
    """The process that leads the job's session, or the id that an element of an array has alone."""
    supervisor: int | None = None


class Queue(Site):
    """Base class of the schedulers: by default, one with room for all jobs, and without daemons."""

    commands: tuple[str, ...] = ()
    """The commands that lie, hang, and lose their answers."""
    silent: tuple[str, ...] = ()
    """Those of them that print nothing where there are no jobs: an empty answer is no lie."""
    account = ""
    """The account that has calls and a kernel, if it is not that of the tests."""
    resources: ClassVar[dict[str, str]] = {}
    """What the jobs of calls and kernels ask for."""
    more_config = ""
    jobs_end_with_node = False
    """Whether a job is lost, and started again, if the daemon of its node is killed."""

    def live_jobs(self) -> list[Job]:
        """Return the jobs that have not ended, the oldest first."""
        raise NotImplementedError

    def has_room(self, jobs: list[Job]) -> bool:
        """Check whether one more of these jobs could run."""
        return True

    def processes(self, job: Job) -> list[psutil.Process]:
        """Return the processes of a job."""
        raise NotImplementedError

    def supervisor(self, job: Job) -> list[psutil.Process]:
        """Return the process that runs a job, if it lives, and if its end is ours to survive."""
        return []

    def daemons(self, job: Job | None = None) -> list[psutil.Process]:
        """Return the scheduler's daemons, or those of the node of a job."""
        return []

    def stop_daemons(self) -> None:
        """End the scheduler's daemons, as an administrator does, until they are restored."""
        daemons = self.daemons()
        for process in daemons:
            process.terminate()
        psutil.wait_procs(daemons, END_S)

    def restore(self) -> None:
        """Start what has been killed or ended, and use all nodes again."""


def processes_with(**wanted: str) -> list[psutil.Process]:
    """Return the processes with these variables in their environment."""
    return [one for one in psutil.process_iter() if wanted.items() <= environment_of(one).items()]


def environment_of(process: psutil.Process) -> dict[str, str]:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ()
    return {}
