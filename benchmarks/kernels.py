"""A kernel in a job against the same kernel on this machine: its start and its interrupt.

A start is the time until the answer to the first cell, through jupyter_client, minus the time
that the job waited in the queue: from the end of the submit until its first program runs. An
interrupt is the time until a cell that sleeps has caught it and ended: a traceback would take
longer than its way to the kernel. Medians; the kernels take turns.
usage: python benchmarks/kernels.py [ROUNDS [local|slurm]]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from batchspawner.allocation import Allocation
from tests.sites import SITES

SLEEP = """
import time
try:
    time.sleep(60)
except KeyboardInterrupt:
    pass
"""
ARGV = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
submitted = 0.0


def write_specs(folder: Path, scheduler: str) -> None:
    job = {"scheduler": scheduler, "linger": 0, "memory": "300M", "runtime": "10m"}
    configs = {"here": None, "job": job, "shared": {**job, "allocation": "shared"}}
    for name, config in configs.items():
        provisioner = {"provisioner_name": "batch-provisioner", "config": config}
        spec = {"argv": ARGV, "display_name": name, "language": "python",
                "metadata": {"kernel_provisioner": provisioner} if config else {}}  # fmt: skip
        (folder / name).mkdir()
        (folder / name / "kernel.json").write_text(json.dumps(spec))


def note_submits() -> None:
    """Have the moment kept at which a job was handed over."""
    submit = Allocation.submit.__func__

    async def noting(cls, *args, **kwargs):
        global submitted
        made = await submit(cls, *args, **kwargs)
        submitted = time.time()
        return made

    Allocation.submit = classmethod(noting)


class Kernel:
    def __init__(self, folder: Path, name: str) -> None:
        self.manager = AsyncKernelManager(
            kernel_name=name, kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder)])
        )

    async def start(self) -> float:
        begun = time.time()
        await self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=60)
        await self.run("6 * 7")
        job = getattr(self.manager.provisioner, "_job", None)
        waited = job.agent.facts["began"] - submitted if job and submitted > begun else 0
        return time.time() - begun - waited

    async def interrupt(self) -> float:
        running = asyncio.ensure_future(self.run(SLEEP))
        await asyncio.sleep(0.5)
        begun = time.perf_counter()
        await self.manager.interrupt_kernel()
        await running
        return time.perf_counter() - begun

    async def run(self, code: str) -> None:
        await self.client.execute_interactive(code, timeout=60, output_hook=lambda _: None)

    async def stop(self) -> None:
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)


async def measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    starts: dict[str, list[float]] = {"here": [], "job": [], "shared": []}
    interrupts: dict[str, list[float]] = {"here": [], "job": []}
    keeper = Kernel(folder, "shared")
    await keeper.start()
    for _ in range(rounds):
        for name in starts:
            kernel = Kernel(folder, name)
            starts[name].append(await kernel.start())
            if name in interrupts:
                interrupts[name].append(await kernel.interrupt())
            await kernel.stop()
    await keeper.stop()
    return {"start": medians(starts), "interrupt": medians(interrupts)}


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    site = SITES[sys.argv[2] if len(sys.argv) > 2 else "local"]
    if site.unavailable:
        raise SystemExit(f"not here: {site.unavailable}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster = site(folder / "site")
        cluster.start()
        os.environ.update(cluster.environment)
        os.environ["BATCHSPAWNER_CALL_DIR"] = str(folder / "calls")
        (folder / "specs").mkdir()
        write_specs(folder / "specs", cluster.name)
        note_submits()
        try:
            found = asyncio.run(measure(folder / "specs", rounds))
        finally:
            cluster.stop()
    start, interrupt = found["start"], found["interrupt"]
    result = {
        "benchmark": "kernels",
        "rounds": rounds,
        "scheduler": cluster.name,
        "start on this machine (s)": round(start["here"], 2),
        "more in a job of its own (s)": round(start["job"] - start["here"], 2),
        "more in a job that runs already (s)": round(start["shared"] - start["here"], 2),
        "interrupt on this machine (ms)": round(1000 * interrupt["here"], 1),
        "interrupt in a job (ms)": round(1000 * interrupt["job"], 1),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
