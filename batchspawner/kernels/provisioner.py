"""Let jupyter_client start, signal and end kernels that run in batch jobs."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jupyter_client.multikernelmanager import MultiKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Callable, Unicode

from ..client.blocking_client import elsewhere
from ..errors import BatchError
from . import connection_keys
from .jobs.allocator import shared_keeper
from .jobs.records import KernelCommand, KernelRecord, find
from .kernel_run import CONNECTION_FILE, KernelRun
from .proxy.channels import Curve
from .proxy.proxy import KernelProxy
from .settings import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_client.connect import KernelConnectionInfo

    from .jobs.kernel_job import KernelJob
    from .settings import Settings

_PYTHON = re.compile(rf"python({sys.version_info[0]}(\.{sys.version_info[1]})?)?")
_PLACE = re.compile(r"\{([A-Za-z0-9_]+)\}")


class BatchProvisioner(KernelProvisionerBase):
    """Run a kernel in a job of any scheduler.

    What has to go on while nobody calls us lives in the library's own event loop: the one of the
    kernel manager may stand still between two calls.
    """

    scheduler = Unicode(
        "auto",
        help="The scheduler for kernels whose kernel.json names none, such as slurm; auto finds "
        "that of this machine.",
    ).tag(config=True)
    account_of_project = Callable(
        None,
        allow_none=True,
        help="Returns the account that pays for a project, where sites keep the two apart.",
    ).tag(config=True)

    settings: Settings

    def __init__(self, **kwargs: Any) -> None:
        config = {
            key: kwargs.pop(key)
            for key in set(kwargs) - {"config", "log", "parent", "kernel_id", "kernel_spec"}
        }
        super().__init__(**kwargs)
        self.settings = read(config, self.scheduler)
        if self.settings.project and self.account_of_project is not None:
            account = str(self.account_of_project(self.settings.project))
            resources = {**self.settings.resources, "account": account}
            self.settings = replace(self.settings, resources=resources)
        self._job: KernelJob | None = None
        self._room: KernelProxy | None = None
        self._launch: KernelRun | None = None
        self._address: dict[str, Any] = {}
        self._restarts: int | None = None

    @property
    def has_process(self) -> bool:
        return self._launch is not None

    async def poll(self) -> int | None:
        """Return None while the kernel lives or waits for its job; never ask a scheduler."""
        if self._launch is None:
            return 0
        if self._launch.failure is not None:
            self._do_not_restart()
        return self._launch.code

    async def wait(self) -> int | None:
        if self._launch is None:
            return 0
        launch = self._launch
        await elsewhere(launch.ended.wait())
        self._launch = None
        return launch.code

    async def send_signal(self, signum: int) -> None:
        """Send a signal through the agent to all processes of the kernel, in milliseconds."""
        if self._launch is not None:
            await elsewhere(self._launch.send(signum))

    async def kill(self, restart: bool = False) -> None:
        """End the kernel, not its job: jupyter_client does not say here that it restarts."""
        del restart
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end, not its job."""
        del restart
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Let the job go, and the sockets, unless the kernel is started again."""
        if not restart:
            await elsewhere(self._let_go())

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the kernel is launched with; called before every launch."""
        given = kwargs.get("env", os.environ)
        # Only what the caller has put in, and what the kernel spec says, belongs to the kernel:
        # the rest describes the server and its host.
        kept = {
            name: value
            for name, value in given.items()
            if os.environ.get(name) != value or name in self.settings.keepvars
        }
        extra = kwargs.pop("extra_arguments", [])
        kwargs.pop("transport_encryption", None)
        prepared = await super().pre_launch(cmd=self._command(extra), **kwargs)
        wanted = {*kept, *(self.kernel_spec.env or {})}
        prepared["env"] = {name: value for name, value in prepared["env"].items() if name in wanted}
        return prepared

    def _command(self, extra: list[str]) -> list[str]:
        argv = list(self.settings.argv or self.kernel_spec.argv) + extra
        if not self.settings.argv and _PYTHON.fullmatch(argv[0]):
            argv[0] = sys.executable
        # The documentation of jupyter-slurm-provisioner writes such paths.
        argv[0] = str(Path(argv[0]).expanduser()) if argv[0].startswith("~") else argv[0]
        places = {
            "connection_file": f"{{folder}}/{CONNECTION_FILE}",
            "resource_dir": self.kernel_spec.resource_dir,
            "prefix": sys.prefix,
        }
        return [_PLACE.sub(lambda found: places.get(found[1], found[0]), word) for word in argv]

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Join or submit a job for the kernel, and return where its clients connect to.

        Nobody waits for the job here, unless the settings say so. Raises BatchError where the
        job is refused, or where it was waited for and the kernel did not start.
        """
        self._may_restart()
        folder = str(kwargs.get("cwd") or "")
        connected = await elsewhere(self._begin(cmd, kwargs.get("env", {}), folder))
        self.connection_info = connected
        return connected

    async def _begin(self, cmd: list[str], env: dict[str, str], cwd: str) -> KernelConnectionInfo:
        """Do what `launch_kernel` does, in the library's event loop."""
        connection = connection_keys.connection_of(self.parent)
        room = self._opened_room(connection)
        try:
            job = await self._joined()
            secured = connection_keys.encrypted(connection, self.kernel_spec)
            wishes = (self.settings.tunnel, self.settings.node)
            command = KernelCommand(tuple(cmd), secured, env, cwd, *wishes)
            if self._launch is not None:
                self._launch.abandon()
            self._launch = KernelRun(job, room, KernelRecord(self.kernel_id, command))
            if self._waits:
                await self._launch.started()
        except BaseException:
            await self._let_go()
            raise
        return _in_bytes({**self._address, **connection})

    def _opened_room(self, connection: Mapping[str, str]) -> KernelProxy:
        if self._room is None:
            key, scheme = connection["key"].encode(), connection["signature_scheme"]
            self._room = KernelProxy(key, scheme, self.kernel_spec.language)
            manager: Any = self.parent
            address = self._address or {"transport": manager.transport, "ip": manager.ip}
            ports = self._room.open(
                address["transport"],
                address["ip"],
                Curve.of(connection),
                {name: port for name, port in address.items() if name.endswith("_port")},
            )
            self._address = {**address, **ports}
        return self._room

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Return what another process needs to go on with the kernel, ready for JSON."""
        info = await super().get_provisioner_info()
        info["connection_info"] = _in_text(self.connection_info)
        info["allocation"] = self._job.folder.name if self._job else ""
        return info

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Go on with a kernel of another process that has ended.

        Its clients find it where it was. Where its job has ended meanwhile, it is dead.
        """
        info = {
            **provisioner_info,
            "connection_info": _in_bytes(provisioner_info["connection_info"]),
        }
        await super().load_provisioner_info(info)
        await elsewhere(self._resume(provisioner_info["allocation"]))

    async def _resume(self, allocation: str) -> None:
        connection = _in_text(self.connection_info)
        self._address = {
            name: connection.pop(name)
            for name in list(connection)
            if name in ("transport", "ip") or name.endswith("_port")
        }
        try:
            self._job = await shared_keeper().rejoin(
                self.kernel_id, allocation, self.settings.patience
            )
        except BatchError as error:
            self.log.warning("Kernel %s is gone: %s", self.kernel_id, error)
            return
        known = {one.kernel: one for one in find(self._job.folder)}
        if self.kernel_id not in known:
            await self._let_go()
            return
        self._launch = KernelRun(self._job, self._opened_room(connection), known[self.kernel_id])
        self.connection_info = _in_bytes({**self._address, **connection})

    async def _joined(self) -> KernelJob:
        """Return the job that the kernel has, or gets."""
        if self._job is None or not await self._job.is_lasting():
            name = f"kernel {self.kernel_spec.display_name}"
            self._job = await shared_keeper().join(self.kernel_id, self.settings, name)
        return self._job

    @property
    def _waits(self) -> bool:
        if self.settings.wait is not None:
            return self.settings.wait
        # Under a server, people watch the kernel wait; a program that starts one kernel counts
        # the time of its first cell from here on.
        return not isinstance(getattr(self.parent, "parent", None), MultiKernelManager)

    async def _let_go(self) -> None:
        if self._launch is not None:
            await self._launch.send(signal.SIGKILL)
            self._launch = None
        if self._job is not None:
            self._job.leave(self.kernel_id, self.settings.linger)
            self._job = None
        if self._room is not None:
            self._room.close()
            self._room = None

    def _do_not_restart(self) -> None:
        """Keep the server from waiting in a queue again, for a job that nobody asked for."""
        restarter = getattr(self.parent, "_restarter", None)
        if restarter is not None and self._restarts is None:
            self._restarts = restarter.restart_limit
            restarter.restart_limit = 0

    def _may_restart(self) -> None:
        restarter = getattr(self.parent, "_restarter", None)
        if restarter is not None and self._restarts is not None:
            restarter.restart_limit, self._restarts = self._restarts, None


def _in_text(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in a connection file."""
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in connection.items()
    }


def _in_bytes(connection: Mapping[str, Any]) -> KernelConnectionInfo:
    """Return what a kernel manager knows of a connection: only that key is no text there."""
    key = connection["key"]
    return cast(
        "KernelConnectionInfo",
        {**connection, "key": key.encode() if isinstance(key, str) else key},
    )


class SlurmProvisioner(BatchProvisioner):
    """Run a kernel in a job of Slurm, as the kernel.json files of jupyter-slurm-provisioner say."""

    scheduler = Unicode(
        "slurm", help="The scheduler for kernels whose kernel.json names none."
    ).tag(config=True)
