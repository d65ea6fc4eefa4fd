"""A whole ipyparallel cluster in one job: the controller, its engines, a Jupyter server."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.batch_client import BatchClient
from ..client.blocking_client import run
from ..client.job_scripts import find_scheduler
from ..errors import BatchError, OptionsError
from .cluster_job import ClusterJob
from .folders import JobFolder, ipython_folder, plain, records
from .outputs import await_outputs, new_client
from .program import ClusterProgram, launch_command, listening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipyparallel import Client

    from ..jobs import JobInfo

READY_TIMEOUT_S = 300.0
"""How long a controller may take to answer after the job's start."""

NOTEBOOKS = {"lab": "jupyterlab", "notebook": "notebook", "server": "jupyter_server"}
"""Modules of a job's Jupyter server, by the names that users know."""

_HEARTBEAT = ("--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=30")
"""Shorter than ipyparallel's 3 s, as an engine joins with its second heartbeat; as tolerant."""

_REGISTRATION_TIMEOUT_S, _REGISTRATION_TIMEOUT_PER_ENGINE_S = 60, 2
"""How long an engine may take to join, and more for many that start at once on a few cores."""


class Cluster:
    """A cluster of n engines in one job, for code that does not await.

    ``with Cluster(24, nodes=2, runtime="1h") as rc:`` returns ipyparallel's client, like its own
    `Cluster`; without ``with``, call `start`, `wait`, `client` and `stop`.

    `mpi` starts the engines as MPI ranks: True, or the command, such as ``srun`` or
    ``mpiexec --oversubscribe``. `notebook` adds a Jupyter server: ``lab``, ``notebook`` or
    ``server``, with options of its own. `resources` are what a job can ask for: queue, account,
    runtime, memory, nprocs (cores of an engine), gpus, reservation, prologue, options and so on.
    """

    def __init__(
        self,
        n: int,
        *,
        nodes: int = 1,
        mpi: bool | str = False,
        notebook: bool | str = False,
        scheduler: str = "auto",
        environment: Mapping[str, str] | None = None,
        controller_args: Sequence[str] = (),
        engine_args: Sequence[str] = (),
        python: str = sys.executable,
        **resources: Any,
    ) -> None:
        for name, number in (("n", n), ("nodes", nodes)):
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise OptionsError(name, number, "write a whole number from 1")
        self.n, self.nodes, self.python = n, nodes, python
        self.scheduler = find_scheduler(scheduler)
        self.notebook = _notebook(notebook)
        self.environment = dict(environment or {})
        self.controller_args, self.engine_args = tuple(controller_args), tuple(engine_args)
        self.resources = resources
        self._mpi = bool(mpi)
        self._launch = self._launcher(mpi)
        self._profiles = ipython_folder()
        self._job: ClusterJob | None = None
        self._client: Client | None = None

    def start(self) -> Cluster:
        """Submit the job. Raises OptionsError, SchedulerError, BatchError for a second start."""
        if self._job is not None:
            raise BatchError(f"this cluster was started already, as job {self.job_id}")
        self._job = run(self._submit())
        return self

    @classmethod
    def attach(cls, job_id: str) -> Cluster:
        """Return a cluster that another process has started. Raises BatchError if it is unknown.

        If several schedulers have a job of this id, name it as in ``slurm:17``.
        If its job has ended, `stop` removes its files.
        """
        known = [one for one in records() if one.n and job_id in (one.job_id, one.full_name)]
        if not known:
            raise BatchError(f"there is no cluster in job {job_id}; see: batchspawner cluster list")
        if len(known) > 1:
            names = ", ".join(one.full_name for one in known)
            raise BatchError(f"there are several jobs {job_id}; name one of: {names}")
        (one,) = known
        cluster = cls(one.n, scheduler=one.scheduler)
        cluster._profiles = Path(one.profiles)
        cluster._job = run(_attach(cluster, one.job_id, one.folder))
        return cluster

    @property
    def job_id(self) -> str:
        """The id of the cluster's job. Raises BatchError before `start`."""
        return self._started().job_id

    @property
    def profile(self) -> str:
        """The name of the IPython profile that clients use while the job runs."""
        return f"job_{plain(self.job_id)}"

    @property
    def profile_dir(self) -> Path:
        """The folder of the IPython profile that clients use."""
        return self._profiles / f"profile_{self.profile}"

    @property
    def status(self) -> JobInfo | None:
        """The last known status of the job."""
        return self._started().status

    def log(self) -> str:
        """Return what the job has printed so far."""
        folder = self._started().folder
        return folder.log_tail(10_000) if folder else ""

    def wait(self, timeout: float = READY_TIMEOUT_S) -> Cluster:
        """Wait until the controller answers; `timeout`, in seconds, counts from the job's start.

        Raises JobFailed if the job ends instead, BatchError after the timeout.
        """
        run(self._ready(timeout))
        return self

    def client(self, *, engines: int | None = None, timeout: float = READY_TIMEOUT_S) -> Client:
        """Return a client when so many engines, by default all, have joined.

        Raises what `wait` raises.
        """
        wanted = self.n if engines is None else engines
        self.wait(timeout)
        client = new_client(self.connection_file, self.profile_dir)
        try:
            self._wait_for_engines(client, wanted, timeout)
            await_outputs(client)
        except BaseException:
            client.close()
            raise
        return client

    @property
    def connection_file(self) -> Path:
        """The file by which a client of ipyparallel connects; it exists once `wait` returns."""
        return self.profile_dir / "security" / "ipcontroller-client.json"

    def detach(self) -> None:
        """Stop following the job, which goes on; `attach` follows it again, in any process."""
        if self._job is not None:
            run(self._job.close())
            self._job = None

    def stop(self) -> None:
        """Cancel the job, wait for its end, and remove its files."""
        if self._job is None:
            return
        run(self._stop(self._job))
        self._job = None

    def __enter__(self) -> Client:
        self.start()
        try:
            self._client = self.client()
        except BaseException:
            self.stop()
            raise
        return self._client

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self.stop()

    def _started(self) -> ClusterJob:
        if self._job is None:
            raise BatchError("this cluster does not run; start() submits its job")
        return self._job

    def _launcher(self, mpi: bool | str) -> str:
        if isinstance(mpi, str) and mpi:
            return mpi
        return self.scheduler.mpi_launcher if mpi or self.nodes > 1 else ""

    def _program(self) -> ClusterProgram:
        module = (self.python, "-m")
        timeout = max(_REGISTRATION_TIMEOUT_S, _REGISTRATION_TIMEOUT_PER_ENGINE_S * self.n)
        waits = f"--IPController.registration_timeout={timeout}"
        how = (*listening(self.controller_args), *_HEARTBEAT, waits, *self.controller_args)
        flags = (f"--timeout={timeout}", *(("--mpi",) if self._mpi else ()))
        return ClusterProgram(
            n=self.n,
            controller=(*module, "ipyparallel.controller", *how),
            engine=(*module, "ipyparallel.engine", *flags, *self.engine_args),
            notebook=(*module, *self.notebook) if self.notebook else (),
            launch=launch_command(self._launch, self.n),
            ipython_folder=str(self._profiles),
            environment=self.environment,
        )

    async def _submit(self) -> ClusterJob:
        folder = JobFolder.create()
        try:
            return await ClusterJob.submit(
                self._program(),
                folder,
                scheduler=self.scheduler,
                name="ipcluster",
                n=self.n,
                profiles=str(self._profiles),
                resources={**self.resources, "nodes": self.nodes if self.nodes > 1 else None},
                variables={"tasks": self.n if self._launch else ""},
            )
        except BaseException:
            folder.remove()
            raise

    async def _ready(self, timeout: float) -> None:
        job = self._started()
        await job.running()
        waited, step = 0.0, 0.1
        while not _is_json(self.connection_file):
            status = job.status
            if status is not None and status.is_final:
                raise job.failure(status)
            if waited > timeout:
                tail = job.folder.log_tail() if job.folder else ""
                raise BatchError(
                    f"the controller of job {job.job_id} did not start within {timeout:g} s of "
                    f"the job's start; it was to write {self.connection_file}.\n{tail}"
                )
            await asyncio.sleep(step)
            waited += step

    def _wait_for_engines(self, client: Client, wanted: int, timeout: float) -> None:
        waited = 0.0
        while len(client.ids) < wanted:
            status = self.status
            if status is not None and status.is_final:
                raise self._started().failure(status)
            if waited >= timeout:
                raise BatchError(
                    f"{len(client.ids)} of {wanted} engines of job {self.job_id} joined within "
                    f"{timeout:g} s.\n{self.log()[-2000:]}"
                )
            run(asyncio.sleep(0.1))
            waited += 0.1

    async def _stop(self, job: ClusterJob) -> None:
        status = await job.cancel()
        await job.close()
        await asyncio.get_running_loop().run_in_executor(None, _remove, self.profile_dir)
        if job.folder and status is not None and status.is_final:
            job.folder.remove()


def _notebook(wanted: bool | str) -> tuple[str, ...]:
    if not wanted:
        return ()
    kind, *words = ["lab"] if wanted is True else shlex.split(wanted) or [""]
    if kind not in NOTEBOOKS:
        raise OptionsError("notebook", kind, f"choose one of {', '.join(sorted(NOTEBOOKS))}")
    return (NOTEBOOKS[kind], *words)


def _is_json(path: Path) -> bool:
    """Return whether a file exists, and is complete."""
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False


def _remove(profile: Path) -> None:
    shutil.rmtree(profile, ignore_errors=True)


async def _attach(cluster: Cluster, job_id: str, folder: JobFolder) -> ClusterJob:
    job = ClusterJob(BatchClient(cluster.scheduler), job_id, folder)
    await job.known()
    return job
