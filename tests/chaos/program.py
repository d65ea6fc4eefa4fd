"""The program of a user that has calls of functions, and a kernel, in jobs.

It reads orders from its standard input, one line of JSON each, and answers each with one line.

python program.py FOLDER SCHEDULER RESOURCES

RESOURCES are what all jobs ask for, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from batchspawner.errors import SchedulerError
from batchspawner.functions import Executor, set_dispatch_limit, slurmify
from batchspawner.schedulers import scheduler_class

CALLS, FUNCTION, KERNEL = "chaos-calls", "chaos-function", "kernel-chaos"
"""The names of the jobs."""

IMPORT = "from batchspawner.agent.job_identity import job_id"

WORKERS = 2
PROBE_S = 4.0
"""How long a kernel has for an answer; whoever asks waits longer than this."""

THREADS = 64
"""Enough for all calls that are submitted at a time, beside the one that reads orders."""


def work(number: int, seconds: float, ledger: str) -> int:
    """Note that the call is done here, and return its value after some time."""
    with Path(ledger).open("a") as file:
        file.write(f"{number}\n")
    time.sleep(seconds)
    return number * number


class Calls:
    """Calls in workers and in jobs of their own, by their numbers."""

    def __init__(self, folder: Path, scheduler: str, resources: dict[str, str]) -> None:
        self.ledger = str(folder / "ledger")
        self.executor = Executor(
            scheduler, workers=WORKERS, linger=1.0, job_name=CALLS, **resources
        )
        self.function = slurmify(job_name=FUNCTION, **resources)(work)
        self.futures: dict[int, object] = {}
        self.seen: dict[int, list[str]] = {}
        self.tasks: set[asyncio.Task] = set()

    def begin(self, name: str, number: int, seconds: float) -> None:
        self.seen[number] = ["open", ""]
        self.tasks.add(asyncio.ensure_future(self._follow(name, number, seconds)))

    async def _follow(self, name: str, number: int, seconds: float) -> None:
        start = self.executor.submit if name == CALLS else self.function.distribute
        arguments = (number, seconds, self.ledger)
        if name == CALLS:
            arguments = (work, *arguments)
        try:
            future = await asyncio.get_running_loop().run_in_executor(None, start, *arguments)
            self.futures[number] = future
            self.seen[number] = ["value", str(await asyncio.wrap_future(future))]
        except (CancelledError, asyncio.CancelledError):
            self.seen[number] = ["cancelled", ""]
        except Exception as error:  # noqa: BLE001  (it is judged by who reads it)
            self.seen[number] = [type(error).__name__, str(error)]

    async def cancel(self, number: int) -> None:
        future = self.futures.get(number)
        if future is not None:
            # A scheduler that lies, or is down, cancels nothing; the call goes on.
            with suppress(SchedulerError):
                await asyncio.get_running_loop().run_in_executor(None, future.cancel)

    async def close(self) -> None:
        await asyncio.gather(*self.tasks)
        await asyncio.get_running_loop().run_in_executor(None, self.executor.shutdown)


class Kernel:
    """A kernel in a job, as a notebook server has it that does not start it again by itself."""

    def __init__(self, folder: Path, scheduler: str, resources: dict[str, str]) -> None:
        self.folder, self.manager, self.client = folder, None, None
        identity = scheduler_class(scheduler).identity()
        self.code = f"{IMPORT}; print(job_id([{identity!r}]))"
        self.problem = ""
        self.working = asyncio.Lock()
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        config = {"scheduler": scheduler, "linger": 0, "wait": False, **resources}
        provisioner = {"provisioner_name": "batch-provisioner", "config": config}
        spec = {
            "argv": [*argv, "--HistoryManager.enabled=False"],
            "display_name": "chaos",
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner},
        }
        (folder / "specs" / "chaos").mkdir(parents=True)
        (folder / "specs" / "chaos" / "kernel.json").write_text(json.dumps(spec))

    async def start(self) -> None:
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager

        if self.manager is not None and await self.manager.is_alive():
            return
        await self.stop()
        self.problem = ""
        self.manager = AsyncKernelManager(
            kernel_name="chaos",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(self.folder / "specs")]),
            connection_file=str(self.folder / "kernel.json"),
        )
        try:
            await self.manager.start_kernel()
        except Exception as error:  # noqa: BLE001  (it is judged by who reads it)
            traceback.print_exc()
            self.manager, self.problem = None, f"{type(error).__name__}: {error}"
            return
        self.client = self.manager.client()
        self.client.start_channels()

    async def stop(self) -> None:
        if self.client is not None:
            self.client.stop_channels()
        if self.manager is not None and self.manager.has_kernel:
            await self.manager.shutdown_kernel(now=True)
        self.manager = self.client = None

    async def look(self) -> dict[str, str]:
        """Return the state of the kernel, and what it printed, or why it did not."""
        if self.working.locked():
            return {"state": "changing"}
        if self.manager is None:
            return {"state": "failed" if self.problem else "none", "said": self.problem}
        said = ""
        with suppress(asyncio.TimeoutError):
            said = await asyncio.wait_for(self._ask(), PROBE_S)
        if self.manager is None:
            return {"state": "changing"}
        return {"state": "alive" if await self.manager.is_alive() else "dead", "said": said}

    async def _ask(self) -> str:
        """Return what the kernel prints for a cell, or the error of the cell."""
        client = self.client
        cell, said = client.execute(self.code), ""
        while True:
            message = await client.get_iopub_msg(timeout=None)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            said += content.get("text", "") + content.get("evalue", "")
            if content.get("execution_state") == "idle":
                return said.strip()


class Program:
    def __init__(self, folder: Path, scheduler: str, resources: dict[str, str]) -> None:
        self.calls = Calls(folder, scheduler, resources)
        self.kernel = Kernel(folder, scheduler, resources)
        self.background: set[asyncio.Task] = set()

    async def obey(self, order: dict) -> object:
        """Do what an order says, or begin it, and return the answer."""
        what = order.pop("order")
        if what == "begin":
            return self.calls.begin(**order)
        if what == "cancel":
            return await self.calls.cancel(**order)
        if what in ("start", "stop"):
            return self.background.add(asyncio.ensure_future(self._change_kernel(what)))
        if what == "look":
            return {"calls": self.calls.seen, "kernel": await self.kernel.look()}
        await self.kernel.stop()
        return await self.calls.close()

    async def _change_kernel(self, what: str) -> None:
        async with self.kernel.working:
            await getattr(self.kernel, what)()


async def main(folder: str, scheduler: str, resources: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    set_dispatch_limit(None)
    program = Program(Path(folder), scheduler, json.loads(resources))
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await program.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
