"""A queue of its own for each test, and kernels that run in its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from batchspawner.client import blocking_client
from batchspawner.kernels.jobs import allocator
from tests.kernels.driving import TIMEOUT_S
from tests.sites import no_jobs_left

HERE = Path(__file__).parent
# The sites whose jobs may be those of the superuser, and what a kernel asks for there.
_SMALL = {
    "local": {},
    "slurm": {"memory": "300M", "runtime": "10m"},
    "gridengine": {},
}


def pytest_collection_modifyitems(items):
    kernels = [one for one in items if HERE in one.path.parents and "jobs" in one.fixturenames]
    for item in kernels:
        item.add_marker("kernels")
    elsewhere = {one for one in kernels if one.callspec.params["site"] not in _SMALL}
    items[:] = [one for one in items if one not in elsewhere]


@pytest.fixture
def jobs(site, tmp_path, monkeypatch):
    """The jobs of a site that this process can reach, as a function; none are left."""
    monkeypatch.setattr(allocator, "_allocator", None)
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    yield lambda: [(job_id, state) for job_id, _, state in site.jobs()]
    if allocator._allocator:
        blocking_client.run(allocator._allocator.release_idle())
    site.drain()
    no_jobs_left(site)


@pytest.fixture
def specs(site, tmp_path):
    """Write kernel.json files, and return the manager that finds them."""
    folder = tmp_path / "specs"

    def write(
        name="batch",
        metadata=(),
        provisioner="batch-provisioner",
        env=(),
        language="python",
        **config,
    ):
        place = folder / name
        place.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        ours = {"scheduler": site.name, **_SMALL[site.name], "linger": 0}
        if provisioner != "batch-provisioner":
            ours = {"kernel_argv": argv}
        spec = {
            "argv": argv,
            "display_name": name,
            "language": language,
            "env": dict(env),
            "metadata": {
                **dict(metadata),
                "kernel_provisioner": {
                    "provisioner_name": provisioner,
                    "config": {**ours, **config},
                },
            },
        }
        if "kernel_argv" in ours:
            del spec["argv"]
        (place / "kernel.json").write_text(json.dumps(spec))
        return KernelSpecManager(kernel_dirs=[str(folder)])

    return write


@pytest.fixture
async def started(jobs, specs, tmp_path):
    """Start kernels as a program does that waits for them: nbclient, papermill, a console."""
    managers = []

    async def start(name="batch", traits=(), **config):
        manager = AsyncKernelManager(
            kernel_name=name,
            kernel_spec_manager=specs(name, **config),
            connection_file=str(tmp_path / f"{name}.json"),
            **dict(traits),
        )
        await manager.start_kernel()
        managers.append((manager, await _client(manager)))
        return managers[-1]

    yield start
    for manager, client in managers:
        client.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


class Another:
    """A server process of its own, which has a kernel."""

    def __init__(self, folder, name):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kernels.another", str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def info(self):
        """What another process needs to go on with its kernel."""
        line = await asyncio.get_running_loop().run_in_executor(None, self.process.stdout.readline)
        return json.loads(line)

    def shut_down(self):
        self.process.stdin.write("shutdown\n")
        self.process.stdin.flush()
        assert self.process.wait(30) == 0

    def leave(self):
        """End the kernel by its client, and then the process."""
        self.process.stdin.write("leave\n")
        self.process.stdin.flush()
        assert self.process.wait(60) == 0

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
async def another(jobs, specs):
    """Start kernels in other server processes."""
    running = []

    async def start(name="another", **config):
        (folder,) = specs(name, **config).kernel_dirs
        running.append(Another(folder, name))
        return running[-1], await running[-1].info()

    yield start
    for one in running:
        if one.process.poll() is None:
            one.shut_down()
        one.kill()


@pytest.fixture
async def resumed(specs, tmp_path):
    """Go on with a kernel of another process, as a server does that has restarted."""
    managers = []

    async def resume(one, info, **config):
        found = KernelSpecManager(kernel_dirs=[str(tmp_path / "specs")])
        manager = AsyncKernelManager(
            kernel_name=one.name,
            kernel_spec_manager=found,
            connection_file=str(tmp_path / "resumed.json"),
        )
        manager.load_connection_info(info["connection_info"])
        manager.provisioner = KernelProvisionerFactory.instance().create_provisioner_instance(
            info["kernel_id"], manager.kernel_spec, parent=manager
        )
        await manager.provisioner.load_provisioner_info(info)
        client = None
        if manager.has_kernel:
            client = await _client(manager)
        managers.append((manager, client))
        return manager, client

    yield resume
    for manager, client in managers:
        if client:
            client.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


@pytest.fixture
async def served(jobs, specs, tmp_path):
    """Start kernels as a notebook server does, which watches them."""
    server = AsyncMultiKernelManager(
        connection_dir=str(tmp_path),
        kernel_manager_class="jupyter_client.ioloop.AsyncIOLoopKernelManager",
    )
    clients = []

    async def start(name="batch", **config):
        server.kernel_spec_manager = specs(name, **config)
        kernel_id = await server.start_kernel(kernel_name=name)
        manager = server.get_kernel(kernel_id)
        manager._restarter.time_to_dead = 0.2
        manager.stop_restarter()
        manager.start_restarter()
        clients.append(await _client(manager))
        return manager, clients[-1]

    yield start
    for client in clients:
        client.stop_channels()
    await server.shutdown_all(now=True)
    server.context.destroy(linger=0)


async def _client(manager):
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=TIMEOUT_S)
    return client
