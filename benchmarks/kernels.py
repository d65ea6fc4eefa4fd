"""A kernel in a job against the same kernel on this machine: its start and its interrupt.

A start is the time until the answer to the first cell, through jupyter_client, minus the time
that the job waited in the queue: from the end of the submit until the first line of its script.
`more_s` is the median start minus that on this machine. An interrupt is the time until a cell that
sleeps has caught it and ended: a traceback would take longer than its way to the kernel. The
kernels take turns.

The peer is jupyter-slurm-provisioner, in an environment of its own, on the same Slurm. Its whole
`salloc` is taken off. It asks `sacct`, so it needs slurmdbd and MariaDB.
usage: python benchmarks/kernels.py [ROUNDS [local|slurm]]
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from batchspawner.allocation.allocation import Allocation
from benchmarks.measuring import python_with, report, run_in
from tests.real.users import SEARCH
from tests.sites import SITES

SLEEP = """
import time
try:
    time.sleep(60)
except KeyboardInterrupt:
    pass
"""
ARGV = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
PEER = "jupyter-slurm-provisioner"
PACKAGES = (f"{PEER}==0.6.0", "ipykernel", "jupyter_server", "requests")
PEER_ROUNDS = 3
COLUMNS = {
    "here": "on this machine",
    "job": "in a job of its own",
    "shared": "in a job that runs already",
}
submitted = 0.0


def write_specs(folder: Path, scheduler: str) -> None:
    began = f"date +%s.%N > {folder}/began"
    job = {
        "scheduler": scheduler,
        "linger": 0,
        "memory": "300M",
        "runtime": "10m",
        "prologue": began,
    }
    configs = {"here": None, "job": job, "shared": {**job, "allocation": "shared"}}
    for name, config in configs.items():
        provisioner = {"provisioner_name": "batch-provisioner", "config": config}
        spec = {
            "argv": [sys.executable, *ARGV],
            "display_name": name,
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner} if config else {},
        }
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
        self.folder = folder
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
        return time.time() - begun - (self.queued() if submitted > begun else 0)

    def queued(self) -> float:
        return max(0.0, float((self.folder / "began").read_text()) - submitted)

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


async def measure(folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    found = {name: {"start_s": [], "interrupt_ms": []} for name in COLUMNS}
    keeper = Kernel(folder, "shared")
    await keeper.start()
    for _ in range(rounds):
        for name, figures in found.items():
            kernel = Kernel(folder, name)
            figures["start_s"].append(await kernel.start())
            figures["interrupt_ms"].append(1000 * await kernel.interrupt())
            await kernel.stop()
    await keeper.stop()
    return found


def summary(figures: dict[str, list[float]], here: float) -> dict[str, object]:
    """Return what is told of each figure, and how much longer than here a start takes."""
    told: dict[str, object] = {}
    for name, values in figures.items():
        digits = 2 if name.endswith("_s") else 1
        best, middle, worst = min(values), statistics.median(values), max(values)
        told[name] = {
            "best": round(best, digits),
            "median": round(middle, digits),
            "worst": round(worst, digits),
        }
    told["more_s"] = round(statistics.median(figures["start_s"]) - here, 2)
    return told


def on_site(name: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        site = SITES[name](folder / "site")
        lacking = [one for one in ("slurmdbd", "mariadbd") if not shutil.which(one, path=SEARCH)]
        if name == "slurm" and not lacking:
            site.cluster.start("--acct", "dbd")
        else:
            site.start()
        try:
            os.environ.update(site.environment)
            os.environ["BATCHSPAWNER_CALL_DIR"] = str(folder / "calls")
            (folder / "specs").mkdir()
            write_specs(folder / "specs", name)
            found = asyncio.run(measure(folder / "specs", rounds))
            here = statistics.median(found["here"]["start_s"])
            result = {COLUMNS[one]: summary(figures, here) for one, figures in found.items()}
            if name == "slurm":
                result |= peer(site, here, lacking)
        finally:
            site.stop()
    report("kernels", {"scheduler": name, "rounds": rounds, **result})


def peer(site, here: float, lacking: list[str]) -> dict[str, object]:
    """Return the figures of the peer, or why there are none."""
    if lacking:
        return {PEER: f"not measured: {' and '.join(lacking)} are not installed"}
    try:
        python = python_with(PACKAGES, ".venv-peers-kernels")
        found = run_in(python, "kernels_peer.py", str(PEER_ROUNDS), **site.cluster.environment)
    except (SystemExit, subprocess.SubprocessError) as error:
        why = str(error).strip().splitlines()
        return {PEER: f"did not run: {why[-1] if why else type(error).__name__}"}
    words = {"job": PEER, "shared": f"{PEER}, in a job that runs already"}
    told = {}
    for one, figures in found.items():
        after = figures.pop("interrupt")
        told[words[one]] = {**summary(figures, here), "interrupt": after}
    return told


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    note_submits()
    for name in sys.argv[2:3] or ["local", "slurm"]:
        if SITES[name].unavailable:
            print(f"not here: {SITES[name].unavailable}", file=sys.stderr)
        else:
            on_site(name, rounds)


if __name__ == "__main__":
    main()
