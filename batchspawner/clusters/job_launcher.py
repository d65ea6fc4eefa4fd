"""What the launchers of controllers and of engines have in common: their jobs.

https://ipyparallel.readthedocs.io/en/latest/reference/launchers.html
"""

from __future__ import annotations

import asyncio
import signal as signals
from typing import TYPE_CHECKING, Any

from ipyparallel.cluster.launcher import BaseLauncher, LauncherError, NotRunning
from traitlets import Dict, List, Unicode

from ..client.batch_client import BatchClient
from ..client.blocking_client import elsewhere, run, start
from ..client.job_scripts import find_scheduler
from ..concurrency import within
from ..errors import BatchError
from .cluster_job import ClusterJob
from .folders import JobFolder

if TYPE_CHECKING:
    from ..jobs import JobInfo
    from .program import ClusterProgram

_RESOURCES = ("queue", "account", "runtime", "memory", "nprocs", "nodes", "gpus")


class JobLauncher(BaseLauncher):  # type: ignore[misc]
    """Launcher of jobs: the base of both."""

    scheduler = Unicode(
        "auto", config=True, help="Name of the scheduler; auto finds the one of this machine."
    ).tag(to_dict=True)
    queue = Unicode(config=True, help="Queue (partition) of the job.")
    account = Unicode(config=True, help="Account that pays for the job.")
    runtime = Unicode(config=True, help="How long the job may run, such as 2h or 1-12:00:00.")
    memory = Unicode(config=True, help="Memory of the job on a node, such as 4G.")
    nprocs = Unicode(config=True, help="Cores of the job, of each engine if it has several.")
    nodes = Unicode(config=True, help="Nodes of the job.")
    gpus = Unicode(config=True, help="GPUs of the job.")
    resources = Dict(config=True, help="Anything else that a job can ask for, by its name.")

    jobs_state = List(Dict(), help="Id and folder of each job").tag(to_dict=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._jobs: list[ClusterJob] = []
        self._output: str | None = None
        self._stopping = False

    @classmethod
    def from_dict(cls, d: dict[str, Any], **kwargs: Any) -> JobLauncher:
        """Return a launcher of jobs that another process has submitted. Raises NotRunning.

        `Cluster.from_file` calls it.
        """
        launcher: JobLauncher = super().from_dict(d, **kwargs)
        launcher.state = "before"
        launcher._jobs = run(launcher._load_jobs())
        ended = launcher._ended
        if len(ended) == len(launcher._jobs):
            launcher._finish(ended)
            raise NotRunning("; ".join(f"job {one.job_id}: {one.describe()}" for one in ended))
        launcher.notify_start(launcher._ids)
        launcher._watch_for_end()
        return launcher

    def find_args(self) -> list[str]:
        """Return a description of what is started, for ipyparallel's log."""
        return [f"{self.scheduler} job"]

    @property
    def _ids(self) -> list[str]:
        return [job.job_id for job in self._jobs]

    @property
    def _ended(self) -> list[JobInfo]:
        found = [job.status for job in self._jobs]
        return [status for status in found if status is not None and status.is_final]

    def poll(self) -> int | str | None:
        """Return None while a job waits or runs, the exit code when all have ended."""
        ended = self._ended
        if not self._jobs or len(ended) < len(self._jobs):
            return None
        return _exit_code(ended)

    async def join(self, timeout: float | None = None) -> None:
        """Wait until all jobs have ended. Raises TimeoutError."""
        try:
            await within(timeout, self._all_ended())
        except asyncio.TimeoutError:
            raise TimeoutError(f"jobs {self._ids} did not end in {timeout} seconds") from None

    async def _all_ended(self) -> None:
        await asyncio.gather(*(elsewhere(job.ended()) for job in self._jobs))

    async def signal(self, sig: int | str) -> None:
        """Send a signal, by number or by name, to the jobs that run."""
        number = sig if isinstance(sig, int) else getattr(signals, f"SIG{sig.upper()}", 0)
        if not number:
            raise LauncherError(f"{sig!r} is not the name of a signal")
        for job in self._jobs:
            if job.status is None or not job.status.is_final:
                await elsewhere(job.signal(number))

    async def stop(self) -> None:
        """Cancel the jobs and return when they have ended."""
        self._stopping = True
        results = await asyncio.gather(
            *(elsewhere(job.cancel()) for job in self._jobs), return_exceptions=True
        )
        self._finish(self._ended)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def get_output(self, remove: bool = False) -> str:
        """Return what the jobs have printed; with `remove`, when they have ended, for good."""
        if self._output is None:
            logs = [job.folder.log_tail(self.output_limit) for job in self._jobs if job.folder]
            output = "\n".join(filter(None, logs))
            if not remove:
                return output
            self._output = output
            for job in self._jobs:
                if job.folder:
                    job.folder.remove()
        return self._output

    async def _submit(self, program: ClusterProgram, *, tasks: str = "") -> None:
        resources = {
            **{name: getattr(self, name) for name in _RESOURCES if getattr(self, name)},
            **self.resources,
        }
        job = await elsewhere(
            _submit(
                program,
                self.scheduler,
                self.identifier,
                {"tasks": tasks},
                self.work_dir,
                resources,
            )
        )
        self._jobs.append(job)
        self.scheduler = job.client.scheduler.name
        self.jobs_state = [
            {"id": job.job_id, "folder": str(job.folder.path) if job.folder else ""}
            for job in self._jobs
        ]
        self.log.info("Submitted job %s to %s", job.job_id, job.client.scheduler.title)

    def _all_submitted(self) -> None:
        """Report the jobs to ipyparallel, so that they are in its cluster file."""
        self.notify_start(self._ids)
        self._watch_for_end()
        if self.parent is not None and hasattr(self.parent, "update_cluster_file"):
            self.parent.update_cluster_file()

    async def _running(self) -> None:
        """Wait, without a limit, until all jobs run. Raises LauncherError."""
        try:
            await asyncio.gather(*(elsewhere(job.running()) for job in self._jobs))
        except BatchError as error:
            raise LauncherError(f"{self.name}: {error}") from error

    async def _load_jobs(self) -> list[ClusterJob]:
        client = BatchClient(find_scheduler(self.scheduler))
        jobs = []
        for one in self.jobs_state:
            folder = JobFolder.existing(one["folder"])
            jobs.append(ClusterJob(client, one["id"], folder))
        await asyncio.gather(*(job.known() for job in jobs))
        return jobs

    def _watch_for_end(self) -> None:
        for job in self._jobs:
            job.when_ended(self._job_ended)

    def _job_ended(self, status: JobInfo) -> None:
        """Finish when the last job has ended; the library's thread calls it."""
        self.log.debug("Job %s ended: %s", status.job_id, status.describe())
        ended = self._ended
        if len(ended) < len(self._jobs):
            return
        if self.loop.asyncio_loop.is_running():
            self.loop.add_callback(self._finish, ended)
        else:
            # Our caller runs an event loop for each call, and is between two calls.
            self._finish(ended)

    def _finish(self, ended: list[JobInfo]) -> None:
        if self.state != "after":
            asked = self._stopping
            reasons = {job.job_id: job.describe(with_log=not asked) for job in self._jobs}
            code = 0 if asked else _exit_code(ended)
            self.notify_stop({"exit_code": code, "jobs": reasons})
        for job in self._jobs:
            start(job.close())


async def _submit(
    program: ClusterProgram,
    scheduler: str,
    name: str,
    variables: dict[str, str],
    work_dir: str,
    resources: dict[str, Any],
) -> ClusterJob:
    folder = JobFolder.create()
    try:
        return await ClusterJob.submit(
            program,
            folder,
            scheduler=scheduler,
            name=name,
            variables=variables,
            work_dir=work_dir,
            resources=resources,
        )
    except BaseException:
        folder.remove()
        raise


def _exit_code(ended: list[JobInfo]) -> int | str:
    """Return 0 if all jobs succeeded, else the exit status, signal or state of one that failed."""
    for one in ended:
        if not one.succeeded:
            return one.exit_code or (one.signal and -one.signal) or one.describe()
    return 0
