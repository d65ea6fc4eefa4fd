"""The base of all spawners: the life cycle of a server that is a batch job."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from jupyterhub.spawner import set_user_setuid
from traitlets import Bool, Tuple, Unicode

from ..concurrency import turn
from ..private_environment import PrivateEnvironment
from ..schedulers import template_name
from ..template_mistakes import fill_script_template
from ..templating import render_script
from . import (  # noqa: F401
    estimate_handler,
    jobs_handler,
    progress_handler,
    report_handler,
    servers_handler,
)
from .backends.cancellation import cancel_again
from .backends.reattach import reattach
from .backends.selection import backend_of
from .backends.start_clock import StartClock
from .backends.unsafe_names import check_names, risky_names
from .hub.jupyterhub import Spawner, log_name, may_end
from .hub.state_writer import commit_address, commit_shared
from .options.schema import refusing_values_of
from .progress.log import progress_events
from .progress.past_ends import end_to_state
from .progress.time_left import time_variables
from .secrets.confirmation import CONFIRM
from .server_job import JobStatus, ServerJob
from .start_outcome import noting_outcome
from .traits.commands import CommandTraits
from .traits.limits import limit_variables
from .traits.options import ChoiceTraits
from .traits.resources import RequestTraits
from .traits.secrets import SecrecyTraits
from .traits.timeouts import TimeoutTraits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .backends.backend import Backend


class BatchSpawnerBase(
    ChoiceTraits, SecrecyTraits, TimeoutTraits, CommandTraits, RequestTraits, Spawner
):
    """Base of all spawners whose server is a batch job.

    A subclass either names a scheduler of `batchspawner.schedulers` in `scheduler_name`, or gives
    `batch_submit_cmd`, `batch_query_cmd` and `batch_cancel_cmd` and reads the query's text in
    `state_ispending`, `state_isrunning` and `state_gethost`.
    """

    scheduler_name: str = ""
    """Name of this class's scheduler and of its template; empty if a site brings both.

    If the scheduler layer does not know it, the commands of the traits below are used.
    """

    ip = Unicode("0.0.0.0", help="Address on which the server listens, on its node.").tag(  # noqa: S104
        config=True
    )
    batch_script = Unicode(
        "",
        help="Template of the job script, for Jinja or `str.format`; empty: the packaged one. "
        "Every trait `req_foo` is `foo` in it; `cmd` starts the server and must be there.",
    ).tag(config=True)
    batchspawner_singleuser_cmd = Unicode(
        "batchspawner-singleuser",
        help="Command that chooses a port on the node, reports it and starts the server. It goes "
        "before `c.Spawner.cmd`; set the full path if the job does not find it.",
    ).tag(config=True)
    port_range = Tuple(
        default_value=(),
        help="First and last port that a server may listen on, such as (9000, 9999); empty: any.",
    ).tag(config=True)
    trust_reported_host = Bool(
        False,
        help="Connect to the address that the job reports instead of the host that the scheduler "
        "names. For sites where the Hub cannot resolve the names of nodes; a user's job can then "
        "point the proxy of its own server to any address.",
    ).tag(config=True)

    log: logging.Logger
    user: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.job = ServerJob()
        self._backend: Backend | None = None
        self._submitting: asyncio.Future[None] | None = None
        self._configured_ip: str | None = None
        super().__init__(*args, **kwargs)
        # What the library logs comes with the Hub's log.
        logging.getLogger("batchspawner").parent = getattr(self.log, "logger", self.log)

    @property
    def log_name(self) -> str:
        """What names this server in the Hub's log."""
        return log_name(self)

    @property
    def backend(self) -> Backend:
        """Backend of this server: the scheduler layer, or the site's own commands."""
        if self._backend is None:
            self._backend = backend_of(self)
        return self._backend

    @property
    def job_id(self) -> str:
        """Id of the job, empty before the submit. Subclasses of existing sites set it."""
        return self.job.id

    @job_id.setter
    def job_id(self, job_id: str) -> None:
        self.job.identified(job_id)

    @property
    def job_status(self) -> str:
        """The scheduler's own text about the job. Subclasses of existing sites set it."""
        return self.job.native_status

    @job_status.setter
    def job_status(self, native_status: str) -> None:
        self.job.observed(native_status)

    @property
    def job_tag(self) -> str:
        """Tag in the job's name, by which it is found without its id."""
        return self.job.tag

    @property
    def job_host(self) -> str:
        """Host on which the server is reached, empty before that."""
        return self.job.host

    @property
    def job_port(self) -> int:
        """Port on which the server is reached, 0 before that."""
        return self.job.port

    # What subclasses of existing sites override and call.

    def parse_job_id(self, output: str) -> str:
        """Return the job id in what `batch_submit_cmd` printed: the last line, without notices.

        Raises ValueError for none.
        """
        return output.rpartition("\n")[2]

    def cmd_formatted_for_batch(self) -> str:
        """Return the command line that starts the server, for the job script."""
        return " ".join([self.batchspawner_singleuser_cmd, *self.cmd, *self.get_args()])

    async def _get_batch_script(self, **subvars: Any) -> str:
        """Return the job script, from `batch_script` or the packaged template."""
        if self.batch_script or not self.scheduler_name:
            setting = f"c.{type(self).__name__}.batch_script"
            return fill_script_template(setting, self.batch_script, subvars)
        return render_script(template_name(self.scheduler_name), subvars, self.template_folders)

    def script_variables(self) -> dict[str, Any]:
        """Return all that a job script's template can name; choices of the user come last."""
        own = {"cmd": self.cmd_formatted_for_batch(), "path": self.get_env().get("PATH", "")}
        variables = {**self.get_req_subvars(), **own}
        names = risky_names(self)
        if names:
            check_names(names, variables, self.script_names(bare=True), "the job script")
        return {**variables, **self.chosen_variables(), **own}

    async def submit_batch_script(self) -> str:
        """Render the job script, submit it and return the job's id."""
        await self.backend.submit()
        return self.job_id

    async def query_job_status(self) -> JobStatus:
        """Return what is known about the job."""
        return await self.backend.query()

    async def cancel_batch_job(self) -> None:
        """Ask the scheduler to end the job."""
        await self.backend.cancel()

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        """Return a function that makes a child process another user's."""
        return set_user_setuid(name)

    def state_ispending(self) -> Any:
        """Return from `job_status` whether the job waits; a site's own class has to define it."""
        raise NotImplementedError(f"{type(self).__name__} must define state_ispending")

    def state_isrunning(self) -> Any:
        """Return from `job_status` whether the job runs; a site's own class has to define it."""
        raise NotImplementedError(f"{type(self).__name__} must define state_isrunning")

    def state_isunknown(self) -> Any:
        """Return from `job_status` whether the scheduler gave no answer about the job."""
        return None

    def state_gethost(self) -> str | None:
        """Return from `job_status` the host on which the job runs."""
        raise NotImplementedError(f"{type(self).__name__} must define state_gethost")

    def connect_host(self, host: str) -> str:
        """Return the name by which the Hub reaches a host that the scheduler named."""
        return host

    # What JupyterHub calls.

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the job that an earlier Hub process had started."""
        super().load_state(state)
        self._close_backend()
        self.job = ServerJob.from_state(state)
        if self.job.reported_port:
            # A job reports once; who reads this is another Hub process than the one that heard it.
            self.port = self.job.reported_port

    def get_state(self) -> dict[str, Any]:
        """Return what a later Hub process must know of the job."""
        server = self.server
        # Without a server in its database, JupyterHub asks for no address either.
        address = (server.ip, server.port) if server else (self.job.host, self.job.port)
        ended = end_to_state(self)
        return {**super().get_state(), **ended, **self.job.to_state(address)}

    def clear_state(self) -> None:
        """Forget the job."""
        super().clear_state()
        self.restore_start_timeout()
        self.job.ended()
        self.set_chosen(None)
        self._close_backend()

    def _close_backend(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def get_env(self) -> dict[str, str]:
        """Return the environment of the server, with what the wrapper in the job needs."""
        env = super().get_env()
        if self.port_range:
            first, last = self.port_range
            env["BATCHSPAWNER_PORT_RANGE"] = f"{first}-{last}"
        if self.confirm_server:
            env[CONFIRM] = "1"
        # What JupyterHub has set for an administrator's own mem_limit or cpu_guarantee stays.
        return PrivateEnvironment({**limit_variables(self), **env, **time_variables(self)})

    async def start(self) -> tuple[str, int]:
        """Submit the job and wait until its server has reported; return host and port.

        JupyterHub calls it. Raises RuntimeError if the submit printed no job id; what else goes
        wrong is raised as an exception that JupyterHub shows to the user.
        """
        self.restore_start_timeout()
        self.backend.clock = StartClock(self.start_limits)
        if self.chosen is None:
            # JupyterHub < 5.3 has not asked before.
            await self.take_options(self.user_options)
        if self._configured_ip is None:
            self._configured_ip = self.ip
        self.ip, self.port = self._configured_ip, self.traits()["port"].default_value
        with noting_outcome(self):
            self._submitting = asyncio.ensure_future(self._submit())
            # A submit that was begun is finished even when nobody waits for the server any more:
            # `stop` needs the id to cancel the job.
            await asyncio.shield(self._submitting)
            self._submitting = None
            if not self.job.id:
                raise RuntimeError("Jupyter batch job submission failure (no jobid in output)")
            await self.backend.in_time(self.backend.until_serving())
        self.log.info("%s: job %s serves at %s:%s", self.log_name, self.job.id, self.ip, self.port)
        # JupyterHub stores the address; until then, the end of any request would roll it back.
        return self.ip, self.port

    async def _submit(self) -> None:
        with refusing_values_of(self.user_options or {}):
            await self.submit_batch_script()
        await commit_shared(self)

    async def poll(self) -> int | None:
        """Return None while the job may live, else its exit status; JupyterHub asks regularly."""
        if self._submitting is not None and not self._submitting.done():
            return None
        if self._backend is None:
            # After a restart, JupyterHub asks about all servers at the same moment.
            await turn()
        try:
            status = await self.backend.poll()
        except Exception:
            self.log.exception(
                "%s: cannot find out about job %s; it is taken to live", self.log_name, self.job.id
            )
            return None
        return status if status is None or may_end(self) else None

    async def stop(self, now: bool = False) -> None:
        """Cancel the job, waiting or running, and wait for its end unless `now` is true."""
        if self._submitting is not None:
            await asyncio.wait([self._submitting])
        if self.job.id:
            self.log.info("%s: cancelling job %s", self.log_name, self.job.id)
            try:
                await self.cancel_batch_job()
            except Exception as error:  # noqa: BLE001  (a site's own method may raise any)
                await cancel_again(self, self.backend.cancels(), error)
            if not now:
                await self.backend.until_gone()

    async def get_url(self) -> str:
        """Return the server's URL; JupyterHub asks when it has restarted."""
        job = self.job
        if job.id and not job.port and self.server.ip and self.server.port:
            # JupyterHub knows the address, and a state of batchspawner 1.x has nothing else.
            job.serving(self.server.ip, self.server.port)
        found = False
        if job.port and job.port == (job.reported_port or job.port):
            self.backend.watch_over()
        else:
            found = await reattach(self)
        known = (self.server.ip, self.server.port)
        if job.port and (found or known != (job.host, job.port)):
            commit_address(self, job.host, job.port)
        return str(self.server.url)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the waiting user reads, each time that it changes."""
        async for event in progress_events(self):
            yield event

    def receive_report(
        self, port: int, host: str = "", *, confirms: bool = False
    ) -> Awaitable[object]:
        """Record where the job's server will listen; return what to wait for until it is stored.

        `confirms` promises a call of `receive_confirmation` once it does.
        """
        host = host if self.trust_reported_host else ""
        self.port = port
        self.job.reported(port, host, confirms=confirms and self.confirm_server)
        return commit_shared(self)

    def receive_confirmation(self, port: int) -> Awaitable[object]:
        """Record that the job's own server has opened its port; return what to wait for."""
        if port == self.job.unconfirmed_port:
            self.job.confirmed()
        return commit_shared(self)
