"""What jupyter-slurm-provisioner does in `benchmarks/kernels.py`, in an environment of its own.

It is written for one site: the program that tells a project's account, and the names of nodes that
can be resolved, have stand-ins here. It fails where the accounting has not heard yet of a job that
has just begun; here that is asked again until it has.
usage: python benchmarks/kernels_peer.py ROUNDS
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import jupyter_slurm_provisioner.provisioner as peer
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

JUTIL = "/usr/libexec/jutil-exe"
ask, begin = subprocess.check_output, peer.start_popen
queued = 0.0


def check_output(argv, *args, **kwargs):
    if argv[0] == JUTIL:
        return b"export BUDGET_ACCOUNTS=bench;"
    answer = ask(argv, *args, **kwargs)
    until = time.monotonic() + 10
    while argv[0] == "sacct" and not answer.strip() and time.monotonic() < until:
        time.sleep(0.1)
        answer = ask(argv, *args, **kwargs)
    return answer


def start_popen(argv, *args, **kwargs):
    process = begin(argv, *args, **kwargs)
    if argv[0] == "salloc":
        threading.Thread(target=note_queue, args=(process, time.time()), daemon=True).start()
    return process


def note_queue(process: subprocess.Popen, begun: float) -> None:
    """Keep how long it took until the job was there; with --no-shell, salloc ends then."""
    global queued
    process.wait()
    queued = time.time() - begun


peer.subprocess.check_output = check_output
peer.start_popen = start_popen
peer.socket.gethostbyname = lambda _: "127.0.0.1"


def write_spec(folder: Path, name: str, job_id: str) -> None:
    config = {
        "project": "bench",
        "partition": "normal",
        "nodes": "1",
        "runtime": "10",
        "gpus": "0",
        "reservation": "None",
        "jobid": job_id,
        "node": "None",
        "kernel_argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    }
    provisioner = {"provisioner_name": "slurm-provisioner", "config": config}
    spec = {
        "argv": [],
        "display_name": name,
        "language": "python",
        "metadata": {"kernel_provisioner": provisioner},
    }
    (folder / name).mkdir()
    (folder / name / "kernel.json").write_text(json.dumps(spec))


async def run(client, code: str, timeout: float) -> None:
    await client.execute_interactive(code, timeout=timeout, output_hook=lambda _: None)


async def one_round(folder: Path, name: str) -> tuple[float, str]:
    """Return the seconds of a start, and what an interrupt does."""
    global queued
    queued = 0.0
    manager = AsyncKernelManager(
        kernel_name=name,
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder)]),
        connection_file=str(folder / f"{secrets.token_hex(8)}.json"),  # as under a server
    )
    begun = time.time()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    await run(client, "6 * 7", 60)
    seconds = time.time() - begun - queued
    await manager.interrupt_kernel()
    after = "interrupts" if await manager.is_alive() else "ends the kernel"
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    return seconds, after


def allocate() -> str:
    """Return a job that runs already, and stays however many kernels end in it."""
    name = f"keeper-{os.getpid()}"
    subprocess.run(["salloc", "--no-shell", "-N1", "-c2", "--time=30", "-J", name], check=True)
    listed = ask(["squeue", "-h", "-o", "%i", "--name", name], text=True)
    step = ["srun", "--jobid", listed.strip(), "--overlap", "-n1", "sleep", "1800"]
    nothing = subprocess.DEVNULL
    subprocess.Popen(step, stdin=nothing, stdout=nothing, stderr=nothing)
    return listed.strip()


async def main(rounds: int) -> None:
    found = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["HOME"] = made
        job_id = allocate()
        try:
            write_spec(folder, "job", "None")
            write_spec(folder, "shared", job_id)
            for name in ("job", "shared"):
                seen = [await one_round(folder, name) for _ in range(rounds)]
                found[name] = {"start_s": [one for one, _ in seen], "interrupt": seen[0][1]}
        finally:
            subprocess.run(["scancel", job_id], check=True)
    print(json.dumps(found))


asyncio.run(main(int(sys.argv[1])))
