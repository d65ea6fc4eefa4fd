"""Provisioners, by which jupyter_client starts, signals and ends kernels in batch jobs.

https://jupyter-client.readthedocs.io/en/stable/provisioning.html
"""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, cast

from jupyter_client.multikernelmanager import MultiKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Callable, Unicode

from ..allocation.job_environment import is_of_a_job
from ..allocation.job_origin import Origin
from ..client.blocking_client import elsewhere
from ..errors import BatchError
from . import connection_keys
from .jobs.allocator import shared_allocator
from .jobs.records import KernelCommand, KernelRecord, find
from .kernel_run import CONNECTION_FILE, KernelRun
from .proxy.channels import Curve
from .proxy.proxy import KernelProxy
from .settings import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_client.connect import KernelConnectionInfo

    from .jobs.kernel_job import KernelJob
    from .kernel_manager import KernelManager, KernelSpec, Restarter
    from .settings import Settings

_PYTHON = re.compile(rf"python({sys.version_info[0]}(\.{sys.version_info[1]})?)?")
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")


class BatchProvisioner(KernelProvisionerBase):
    """A kernel in a job of any scheduler.

    What goes on between the calls of the kernel manager runs in the library's own event loop: the
    loop of the kernel manager may stand still meanwhile.
    """

    scheduler = Unicode(
        "auto",
        help="The scheduler for kernels whose kernel.json names none, such as slurm; auto finds "
        "that of this machine.",
    ).tag(config=True)
    account_of_project = Callable(
        None,
        allow_none=True,
        help="Returns the account that pays for a project, for sites where the two differ.",
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
        self._proxy: KernelProxy | None = None
        self._run: KernelRun | None = None
        self._address: dict[str, str | int] = {}
        self._restart_limit: int | None = None
        self._expanded: dict[str, list[str]] = {}

    @property
    def has_process(self) -> bool:
        return self._run is not None

    async def poll(self) -> int | None:
        """Return None while the kernel lives or waits for its job, without asking a scheduler."""
        if self._run is None:
            return 0
        if self._run.failure is not None:
            self._disable_restarts()
        return self._run.code

    async def wait(self) -> int | None:
        if self._run is None:
            return 0
        run = self._run
        await elsewhere(run.ended.wait())
        self._run = None
        return run.code

    async def send_signal(self, signum: int) -> None:
        """Send a signal, through the agent, to all processes of the kernel."""
        if self._run is not None:
            await elsewhere(self._run.send(signum))

    async def kill(self, restart: bool = False) -> None:
        """End the kernel, not its job: jupyter_client does not say here that it restarts."""
        del restart
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end, not its job."""
        del restart
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Release the job and the sockets, unless the kernel is started again."""
        if not restart:
            await elsewhere(self._release())

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments of `launch_kernel`; called before every launch."""
        given: Mapping[str, str] = kwargs.get("env", os.environ)
        extra: list[str] = kwargs.pop("extra_arguments", [])
        kwargs.pop("transport_encryption", None)
        prepared: dict[str, Any] = await super().pre_launch(cmd=self._command(extra), **kwargs)
        environment: dict[str, str] = prepared["env"]
        # The rest describes the server and its host, not the kernel.
        names = {
            *(name for name, value in given.items() if os.environ.get(name) != value),
            *self.settings.keepvars,
            *(self._spec.env or {}),
        }
        values, self._expanded = variables_of_job(self._spec.env or {}, given)
        environment.update(values)
        prepared["env"] = {name: value for name, value in environment.items() if name in names}
        return prepared

    @property
    def _spec(self) -> KernelSpec:
        spec: KernelSpec = self.kernel_spec
        return spec

    def _command(self, extra: list[str]) -> list[str]:
        argv: list[str] = [*(self.settings.argv or self._spec.argv), *extra]
        if not self.settings.argv and _PYTHON.fullmatch(argv[0]):
            argv[0] = sys.executable
        # The documentation of jupyter-slurm-provisioner writes such paths.
        argv[0] = str(Path(argv[0]).expanduser()) if argv[0].startswith("~") else argv[0]
        values: dict[str, str] = {
            "connection_file": f"{{folder}}/{CONNECTION_FILE}",
            "resource_dir": self._spec.resource_dir,
            "prefix": sys.prefix,
        }

        def value(found: re.Match[str]) -> str:
            return values.get(found[1], found[0])

        return [_PLACEHOLDER.sub(value, word) for word in argv]

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Join or submit a job for the kernel, and return the connection file of its clients.

        It does not wait for the job, unless the settings say so. Raises BatchError if the job is
        refused, or if the kernel was waited for and did not start.
        """
        self._enable_restarts()
        folder, environment = str(kwargs.get("cwd") or ""), kwargs.get("env", {})
        connected = await elsewhere(self._launch(cmd, environment, folder))
        self.connection_info = connected
        return connected

    async def _launch(self, cmd: list[str], env: dict[str, str], cwd: str) -> KernelConnectionInfo:
        """Do what `launch_kernel` does, in the library's event loop."""
        connection = connection_keys.connection_of(self._manager)
        proxy = self._open_proxy(connection)
        try:
            job = await self._get_job(Origin.of_kernel(env))
            secured = connection_keys.encrypted(connection, self._spec)
            tunnel, node = self.settings.tunnel, self.settings.node
            local = connection_keys.local_transport(secured, self._spec, self.settings.transport)
            expand = {name: used for name, used in self._expanded.items() if name in env}
            command = KernelCommand(tuple(cmd), secured, env, cwd, tunnel, node, expand, local)
            if self._run is not None:
                self._run.abandon()
            self._run = KernelRun(job, proxy, KernelRecord(self.kernel_id, command))
            if self._waits:
                await self._run.started()
        except BaseException:
            await self._release()
            raise
        return _in_bytes({**self._address, **connection})

    @property
    def _manager(self) -> KernelManager:
        return cast("KernelManager", self.parent)

    def _open_proxy(self, connection: Mapping[str, str]) -> KernelProxy:
        if self._proxy is None:
            key, scheme = connection["key"].encode(), connection["signature_scheme"]
            self._proxy = KernelProxy(key, scheme, self._spec.language)
            manager = self._manager
            address = self._address or {"transport": manager.transport, "ip": manager.ip}
            ports = self._proxy.open(
                str(address["transport"]),
                str(address["ip"]),
                Curve.of(connection),
                {name: int(port) for name, port in address.items() if name.endswith("_port")},
            )
            self._address = {**address, **ports}
        return self._proxy

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Return what another process needs to take over the kernel, ready for JSON."""
        info: dict[str, Any] = await super().get_provisioner_info()
        info["connection_info"] = _in_text(self.connection_info)
        info["allocation"] = self._job.folder.name if self._job else ""
        return info

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Take over a kernel of another process that has ended.

        Its addresses stay the same. If its job has ended meanwhile, it is dead.
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
            self._job = await shared_allocator().rejoin(
                self.kernel_id, allocation, self.settings.orphan_timeout
            )
        except BatchError as error:
            self.log.warning("Kernel %s is gone: %s", self.kernel_id, error)
            return
        known = {one.kernel: one for one in find(self._job.folder)}
        if self.kernel_id not in known:
            await self._release()
            return
        self._run = KernelRun(self._job, self._open_proxy(connection), known[self.kernel_id])
        self.connection_info = _in_bytes({**self._address, **connection})

    async def _get_job(self, origin: Origin) -> KernelJob:
        """Return the job that the kernel has, or a new one."""
        if self._job is None or not await self._job.is_still_open():
            name = f"kernel {self._spec.display_name}"
            allocator = shared_allocator()
            self._job = await allocator.join(self.kernel_id, self.settings, name, origin)
        return self._job

    @property
    def _waits(self) -> bool:
        if self.settings.wait is not None:
            return self.settings.wait
        # A server shows that the kernel waits; a program that starts a single kernel has a timeout
        # for its first cell, which begins now.
        server: object = getattr(self.parent, "parent", None)
        return not isinstance(server, MultiKernelManager)

    async def _release(self) -> None:
        if self._run is not None:
            await self._run.send(signal.SIGKILL)
            self._run = None
        if self._job is not None:
            self._job.leave(self.kernel_id, self.settings.linger)
            self._job = None
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None

    @property
    def _restarter(self) -> Restarter | None:
        restarter: Restarter | None = getattr(self.parent, "_restarter", None)
        return restarter

    def _disable_restarts(self) -> None:
        """Keep the server from submitting another job for a kernel that has failed."""
        restarter = self._restarter
        if restarter is not None and self._restart_limit is None:
            self._restart_limit = restarter.restart_limit
            restarter.restart_limit = 0

    def _enable_restarts(self) -> None:
        restarter = self._restarter
        if restarter is not None and self._restart_limit is not None:
            restarter.restart_limit, self._restart_limit = self._restart_limit, None


def variables_of_job(
    wanted: Mapping[str, str], server: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the values in kernel.json that name variables of the job, and the names of these.

    They are variables that the `server` does not have, or has from a job of its own. In the values
    they are written as ``${NAME}``, and the agent replaces them; the server's are filled in.
    """
    values: dict[str, str] = {}
    used: dict[str, list[str]] = {}
    for name, text in wanted.items():
        found = [one["named"] or one["braced"] for one in Template.pattern.finditer(text)]
        ours = [one for one in found if one and (one not in server or is_of_a_job(one))]
        # With $$, what is left would read like a variable.
        if ours and "$$" not in text:
            unexpanded = {one: f"${{{one}}}" for one in ours}
            values[name] = Template(text).safe_substitute({**server, **unexpanded})
            used[name] = list(dict.fromkeys(ours))
    return values, used


def _in_text(connection: Mapping[str, object]) -> dict[str, Any]:
    """Return the content of a connection file."""
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in connection.items()
    }


def _in_bytes(connection: Mapping[str, object]) -> KernelConnectionInfo:
    """Return a connection as a kernel manager has it: with a key in bytes."""
    key = connection["key"]
    return cast(
        "KernelConnectionInfo",
        {**connection, "key": key.encode() if isinstance(key, str) else key},
    )


class SlurmProvisioner(BatchProvisioner):
    """A kernel in a job of Slurm, for kernel.json files of jupyter-slurm-provisioner."""

    scheduler = Unicode(
        "slurm", help="The scheduler for kernels whose kernel.json names none."
    ).tag(config=True)
