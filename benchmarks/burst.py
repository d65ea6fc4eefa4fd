"""Start many servers at once on a real Slurm: how the Hub answers meanwhile, and what Slurm bears.

All jobs run on the Hub's own machine and start in the same second, so the slowest answers tell
most of all how long the Hub had to wait for a processor: `hub_cpu_s` is what its main thread has
used until all servers were ready, `hub_waits_for_cpu_s` how long it could have run and did not.
usage: python benchmarks/burst.py [STARTS [STARTS OF OURS ALONE]]
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batchspawner.client.batch_client import BatchClient
from batchspawner.jobs import JobRequest
from batchspawner.runners import LocalRunner
from batchspawner.spawners.backends.submit_queue import SubmitQueue
from benchmarks.measuring import report
from benchmarks.sampler import Sampler
from benchmarks.slurm_hub import OURS, PEER, slurm, slurm_hub
from tests.real.users import USERS

CONCURRENCY = 8
"""Submits at a time: the default of c.BatchSpawnerBase.submit_concurrency."""

SCRIPT = "#!/bin/sh\n#SBATCH --mem=20 --time=30 --output=/dev/null --chdir=/\nsleep 600\n"
AS_USER = ("sudo", "-E", "-H", "-u", USERS[0])


def rpcs(cluster) -> int:
    """Return how many requests the controller has had since the last reset, but from jobs."""
    text = cluster.run("sdiag")
    table = text.partition("by message type")[2].partition("by user")[0]
    counts = dict(re.findall(r"(\w+)\s+\(\s*\d+\) count:(\d+)", table))
    # What nodes say, and `srun` in a job.
    others = (
        "MESSAGE_",
        "REQUEST_HET_JOB_ALLOC_INFO",
        "REQUEST_STATS",
        "REQUEST_COMPLETE",
        "REQUEST_STEP_COMPLETE",
        "REQUEST_JOB_STEP_CREATE",
        "REQUEST_PERSIST",
        "REQUEST_BUILD",
    )
    return sum(int(count) for name, count in counts.items() if not name.startswith(others))


def main_thread(pid: int) -> tuple[float, float]:
    """Return for how long a process's main thread has run, and has waited for a processor."""
    # https://docs.kernel.org/scheduler/sched-stats.html
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def burst(cluster, which: str, starts: int) -> dict:
    """Start servers at once with ours or the peer."""
    names = [(USERS[n % len(USERS)], f"s{n}") for n in range(starts)]
    with slurm_hub(cluster, which, USERS) as (hub, notes):
        cluster.run("sdiag", "-r")
        sampler = Sampler(hub, USERS[0])
        sampler.start()
        ran, waited = main_thread(hub.process.pid)
        begun = time.time()

        def ask(one: tuple[str, str]) -> int:
            return hub.api("POST", f"users/{one[0]}/servers/{one[1]}").status_code

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            codes = set(pool.map(ask, names))
        assert codes <= {201, 202}, codes
        end = time.time() + 300
        while len(list(notes.glob("s*"))) < starts and time.time() < end:
            time.sleep(0.1)
        took = max(file.stat().st_mtime for file in notes.glob("s*")) - begun
        while not everybody_ready(hub, names) and time.time() < end:
            time.sleep(0.5)
        ready = time.time() - begun
        ran, waited = (now - then for now, then in zip(main_thread(hub.process.pid), (ran, waited)))
        answers = {name: round(value, 3) for name, value in sampler.end().items()}
        listening = len(list(notes.glob("s*")))
        requested = rpcs(cluster)
    return {
        "starts": starts,
        "listening": listening,
        **answers,
        "hub_cpu_s": round(ran, 1),
        "hub_waits_for_cpu_s": round(waited, 1),
        "starts_per_s": round(starts / took, 1),
        "all_ready_s": round(ready, 1),
        "rpcs": requested,
    }


def everybody_ready(hub, names: list[tuple[str, str]]) -> bool:
    models = {user: hub.api("GET", f"users/{user}").json()["servers"] for user in USERS}
    return all(models[user].get(name, {}).get("ready") for user, name in names)


def empty(cluster) -> None:
    """Cancel all jobs, and wait until the last one is gone, so that the next measure has peace."""
    cluster.run("scancel", "-u", USERS[0])
    while cluster.jobs():
        time.sleep(0.5)


def bare_sbatch(cluster, jobs: int) -> float:
    """Return how many jobs a second sbatch itself submits, as many at a time."""

    def submit(_: int) -> None:
        subprocess.run(
            [*AS_USER, "sbatch", "--parsable"],
            input=SCRIPT,
            text=True,
            check=True,
            capture_output=True,
            cwd="/",
            env=cluster.environment,
        )

    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(submit, range(jobs)))
    rate = jobs / (time.perf_counter() - begun)
    empty(cluster)
    return round(rate, 1)


async def our_submits(cluster, jobs: int) -> float:
    """Return how many jobs a second our client submits, through the gate of the spawners."""
    os.environ.update(cluster.environment)
    client, gate = BatchClient("slurm", LocalRunner(AS_USER)), SubmitQueue(CONCURRENCY)

    async def submit(number: int) -> str:
        async with gate.turn(gate.reserve(USERS[number % len(USERS)])):
            return await client.submit(JobRequest(SCRIPT, f"tag-{number}"))

    begun = time.perf_counter()
    await asyncio.gather(*(submit(number) for number in range(jobs)))
    rate = jobs / (time.perf_counter() - begun)
    empty(cluster)
    return round(rate, 1)


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]] or [50, 500]
    results = {}
    with slurm() as cluster:
        bare, ours = [], []
        for _ in range(3):
            bare.append(bare_sbatch(cluster, 200))
            ours.append(asyncio.run(our_submits(cluster, 200)))
        results["bare sbatch, per second"] = statistics.median(bare)
        results[f"{OURS}, submits per second"] = statistics.median(ours)
        results[OURS], results[PEER] = (burst(cluster, one, numbers[0]) for one in (OURS, PEER))
        results["ratio"] = {
            key: round(results[PEER][key] / results[OURS][key], 1)
            for key in ("api_p99_s", "api_worst_s", "all_ready_s", "rpcs")
        }
        if numbers[1:]:
            results[f"{OURS}, {numbers[1]} starts"] = burst(cluster, OURS, numbers[1])
    report("burst", results)


if __name__ == "__main__":
    main()
