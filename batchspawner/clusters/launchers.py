"""Launchers, by which ipyparallel starts its controller and its engines as jobs.

ipyparallel finds the classes by their entry points: ``batchspawner`` for this machine's
scheduler, ``batch-slurm`` and so on for one by its name. (``batch`` is a name that it uses
itself, too.) Its own `Cluster` and `ipcluster` call the methods.

https://ipyparallel.readthedocs.io/en/latest/reference/launchers.html
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipyparallel.cluster.launcher import ControllerLauncher, EngineLauncher
from traitlets import Bool, Integer, Unicode

from ..client.blocking_client import start
from ..client.job_scripts import find_scheduler
from ..errors import SubmitError
from ..schedulers import FALLBACK
from .job_launcher import JobLauncher
from .program import ClusterProgram, launch_command, listening
from .registration import unregister_engines

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..jobs import JobInfo

_LOOPBACK = re.compile(r"(tcp|udp)://(127\..*|localhost|\[?::1\]?)|ipc://.*")
"""Interfaces that other machines cannot reach."""

_REGISTRATION_TIMEOUT_S = 60
"""How long an engine waits for the controller's answer: that may be busy with hundreds."""


class JobControllerLauncher(JobLauncher, ControllerLauncher):  # type: ignore[misc]
    """Launcher of the controller, as a job of its own."""

    entrypoint_name = "batchspawner"

    async def start(self) -> None:
        """Submit the controller's job; `Cluster.start_controller` calls it."""
        reachable = listening(self.controller_args)
        command = (*self.controller_cmd, *reachable, *self.controller_args)
        program = ClusterProgram(
            controller=(*command, f"--cluster-id={self.cluster_id}"),
            profile=self.profile_dir,
            environment=self.environment,
        )
        for path in self.connection_files.values():
            # A file of an earlier controller would be taken for that of the new one.
            Path(path).unlink(missing_ok=True)
        await self._submit(program)
        self._all_submitted()

    async def get_connection_info(self, timeout: float | None = None) -> dict[str, Any]:
        """Return what engines and clients need to connect; `timeout` counts from the job's start.

        Raises LauncherError if the job ends instead.
        """
        await self._running()
        limit = () if timeout is None else (timeout,)
        info: dict[str, Any] = await super().get_connection_info(*limit)
        return info


class JobEngineSetLauncher(JobLauncher, EngineLauncher):  # type: ignore[misc]
    """Launcher of engines, as one job, or as an array whose engines join as they start."""

    entrypoint_name = "batchspawner"

    engines_per_job = Integer(
        0,
        config=True,
        help="Engines in each job. The jobs are an array if the scheduler has arrays; 0 puts all "
        "engines into one job.",
    )
    mpi = Unicode(
        config=True,
        help="Command that starts the engines as MPI ranks, such as srun or mpiexec. "
        "Without it they are processes of their job's node.",
    )
    wait_until_running = Bool(
        True,
        config=True,
        help="Return from the start when the jobs run, so that ipyparallel's timeouts count "
        "from then. If it is off, engines join whenever they start.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._unregistered: Future[None] | None = None

    async def start(self, n: int) -> None:
        """Submit the jobs of n engines; `Cluster.start_engines` calls it."""
        self.n = n
        self._check_controller()
        whole, rest = divmod(n, self.engines_per_job or n or 1)
        try:
            await self._start_jobs(whole, self.engines_per_job or n)
            if rest:
                await self._start_jobs(1, rest)
        finally:
            if self._jobs:
                self._all_submitted()
        if self.wait_until_running:
            await self._running()

    async def stop(self) -> None:
        """Cancel the jobs and return when they have ended, and clients see no engine of theirs."""
        await super().stop()
        if self._unregistered is not None:
            await asyncio.wrap_future(self._unregistered)

    def _finish(self, ended: list[JobInfo]) -> None:
        super()._finish(ended)
        if self._unregistered is None and len(ended) == len(self._jobs):
            self._unregistered = start(self._unregister())

    async def _unregister(self) -> None:
        file = Path(self.connection_files["client"])
        for job in self._jobs:
            if job.folder and not await unregister_engines(file, job.folder.name):
                break

    def _check_controller(self) -> None:
        """Warn of a controller that only engines on its own machine could reach."""
        try:
            info = json.loads(Path(self.connection_files["engine"]).read_text())
            interface = str(info["interface"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if _LOOPBACK.fullmatch(interface) and find_scheduler(self.scheduler).name != FALLBACK:
            self.log.warning(
                "The controller listens on %s, which engines on other machines cannot reach. "
                "Start it with controller_ip='*', as in ipp.Cluster(controller_ip='*', …), "
                "or with `ipcluster start --ip='*'`.",
                interface,
            )

    async def _start_jobs(self, count: int, n: int) -> None:
        """Submit so many jobs of n engines each, as an array if the scheduler has arrays."""
        scheduler = find_scheduler(self.scheduler)
        size = count if scheduler.arrays else 1
        while count:
            size = min(size, count)
            try:
                await self._start_array(size, n)
            except SubmitError as error:
                if size == 1 or not scheduler.refuses_array(error):
                    raise
                size //= 2
            else:
                count -= size

    async def _start_array(self, elements: int, n: int) -> None:
        environment = dict(self.environment)
        info = environment.pop("IPP_CONNECTION_INFO", "")
        mpi = ("--mpi",) if self.mpi else ()
        program = ClusterProgram(
            n=n,
            elements=elements,
            engine=(
                *self.engine_cmd,
                f"--timeout={_REGISTRATION_TIMEOUT_S}",
                *mpi,
                *self.engine_args,
            ),
            launch=launch_command(self.mpi, n),
            profile=self.profile_dir,
            connection=self.connection_files["engine"],
            connection_info=info,
            environment={**environment, "IPP_CLUSTER_ID": self.cluster_id},
        )
        await self._submit(program, tasks=str(n) if self.mpi else "")
