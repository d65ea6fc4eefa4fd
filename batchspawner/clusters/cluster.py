"""Run a whole ipyparallel cluster in one job: the controller, its engines, a Jupyter server."""

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
from .folders import JobFolder, ipython_folder, plain, records
from .job import ClusterJob
from .outputs import await_outputs
from .program import ClusterProgram, launch_command, listening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipyparallel import Client

    from ..jobs import JobInfo

READY = 300.0
"""Seconds from the job's start to a controller that answers, at most."""

NOTEBOOKS = {"lab": "jupyterlab", "notebook": "notebook", "server": "jupyter_server"}
"""The modules that can be a job's Jupyter server, by what people call them."""


_QUICK = ("--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=30")
"""An engine has joined after its second heartbeat: more often, and as patient as ever."""

_PATIENCE, _PATIENCE_EACH = 60, 2
"""Seconds for an engine to join, and for each: they all start at once, maybe on a few cores."""


class Cluster:
    """Be a cluster of n engines in one job, used from code that need not await.

    ``with Cluster(24, nodes=2, runtime="1h") as rc:`` gives ipyparallel's client, like its own
    `Cluster` does; without ``with``, `start`, `wait`, `client` and `stop` do it step by step.

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
        """Submit the job. Raises OptionsError, SchedulerError."""
        if self._job is not None:
            raise BatchError(f"this cluster was started already, as job {self.job_id}")
        self._job = run(self._submit())
        return self

    @classmethod
    def attach(cls, job_id: str) -> Cluster:
        """Return a cluster that another process has started. Raises BatchError for an unknown one.

        Its job may have ended; `stop` removes what is left of it then.
        """
        for one in records():
            if one.job_id == job_id and one.n:
                cluster = cls(one.n, scheduler=one.scheduler)
                cluster._profiles = Path(one.profiles)
                cluster._job = run(_take_up(cluster, job_id, one.folder))
                return cluster
        raise BatchError(f"there is no cluster in job {job_id}; see: batchspawner cluster list")

    @property
    def job_id(self) -> str:
        return self._started().job_id

    @property
    def profile(self) -> str:
        """The name of the IPython profile that clients use while the job runs."""
        return f"job_{plain(self.job_id)}"

    @property
    def profile_dir(self) -> Path:
        return self._profiles / f"profile_{self.profile}"

    @property
    def status(self) -> JobInfo | None:
        """What the scheduler last said of the job."""
        return self._started().status

    def log(self) -> str:
        """Return what the job has printed so far."""
        folder = self._started().folder
        return folder.log_tail(10_000) if folder else ""

    def wait(self, timeout: float = READY) -> Cluster:
        """Wait until the controller answers: in the queue for ever, then `timeout` seconds.

        Raises JobFailed where the job ends instead, BatchError when the time is over.
        """
        run(self._ready(timeout))
        return self

    def client(self, *, engines: int | None = None, timeout: float = READY) -> Client:
        """Return a client when so many engines (all) have joined. Raises what `wait` raises."""
        from ipyparallel import Client

        wanted = self.n if engines is None else engines
        self.wait(timeout)
        client = Client(str(self.connection_file), profile_dir=str(self.profile_dir))
        try:
            self._wait_for_engines(client, wanted, timeout)
            await_outputs(client)
        except BaseException:
            client.close()
            raise
        return client

    @property
    def connection_file(self) -> Path:
        return self.profile_dir / "security" / "ipcontroller-client.json"

    def detach(self) -> None:
        """Leave the job to itself; `attach` takes it up again, also in another process."""
        if self._job is not None:
            run(self._job.close())
            self._job = None

    def stop(self) -> None:
        """Cancel the job, wait for its end, and remove what it has left."""
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
        module, patience = (self.python, "-m"), max(_PATIENCE, _PATIENCE_EACH * self.n)
        waits = f"--IPController.registration_timeout={patience}"
        how = (*listening(self.controller_args), *_QUICK, waits, *self.controller_args)
        flags = (f"--timeout={patience}", *(("--mpi",) if self._mpi else ()))
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
    """Whether a file is there, and written to its end."""
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False


def _remove(profile: Path) -> None:
    shutil.rmtree(profile, ignore_errors=True)


async def _take_up(cluster: Cluster, job_id: str, folder: JobFolder) -> ClusterJob:
    job = ClusterJob(BatchClient(cluster.scheduler), job_id, folder)
    await job.known()
    return job
