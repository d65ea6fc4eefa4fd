"""What a Hub's servers cost the controller of a real Slurm beside 20,000 waiting jobs of others.

For a minute, one job of ours starts and the others run. Each column is one way of asking: ours, the
peer, a bare `squeue` every two seconds, and nobody who asks. `rpcs` are the requests about jobs
that the controller has had in that minute, `rpc_ms` is its time for all of them, as `sdiag` reports
it. Its processor time tells nothing: this Slurm, made for tests, looks at all waiting jobs every
second. Meanwhile somebody else submits a job every second; `submit_ms` is how long `sbatch` takes
them.
usage: python benchmarks/foreign.py [FOREIGN JOBS]
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measuring import ROOT, peers_python, report, run_in, spawners

SECONDS = 60
STARTUP_INTERVAL_S, POLL_INTERVAL_S = 0.5, 30.0
"""How often a job that starts is queried, by default, and one that runs; ours shares queries."""

BARE_INTERVAL_S = 2.0

OURS, PEER, BARE = "batchspawner 2", "batchspawner 1.3.0", "bare squeue"
NOBODY = "nobody"
TASKS = 2000
"""Jobs that one array makes: less than MaxArraySize."""

HELD = ("--hold", "--output=/dev/null", "--chdir=/", "--mem=1", "--time=60", "--wrap=sleep 3600")
"""How jobs are submitted that wait until the end."""


async def ask(job_ids: list[str]) -> None:
    """Ask about servers as a Hub does in which the first one starts and the others run."""
    from batchspawner import SlurmSpawner

    servers = spawners(SlurmSpawner, len(job_ids))
    for one, job_id in zip(servers, job_ids):
        one.job_id = job_id
        one.env_keep = ["PATH", "SLURM_CONF"]
    is_ours = hasattr(servers[0], "backend")
    end = time.monotonic() + SECONDS

    async def poll(one: SlurmSpawner, interval: float) -> None:
        while time.monotonic() < end:
            if is_ours:
                await one.backend.query()
            else:
                await one.query_job_status()
            await asyncio.sleep(min(interval, max(0.0, end - time.monotonic())))

    if is_ours:
        # Who waits for a start, or looks after a server, holds a watch with its interval.
        for one in servers:
            one.backend._watch(STARTUP_INTERVAL_S if one is servers[0] else POLL_INTERVAL_S)
    intervals = [STARTUP_INTERVAL_S, *[POLL_INTERVAL_S] * (len(servers) - 1)]
    await asyncio.gather(*(poll(one, each) for one, each in zip(servers, intervals)))


def bare() -> None:
    """List all jobs every two seconds."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        subprocess.run(["squeue", "-h", "-a"], stdout=subprocess.DEVNULL, check=True)
        time.sleep(min(BARE_INTERVAL_S, max(0.0, end - time.monotonic())))


class Controller:
    """A real Slurm full of waiting jobs."""

    def __init__(self, cluster, owner: str, other: str) -> None:
        self.cluster, self.owner, self.other = cluster, owner, other

    def submit(self, user: str) -> str:
        """Submit a job, and return its id."""
        return self.cluster.run("sbatch", "--parsable", *HELD, user=user).strip()

    def submit_many(self, number: int) -> list[str]:
        """Submit jobs one by one, and return their ids."""
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            return list(threads.map(self.submit, [self.owner] * number))

    def fill(self, number: int) -> None:
        """Submit jobs of somebody else quickly: as tasks of arrays, each with its own record."""
        for begin in range(0, number, TASKS):
            tasks = min(TASKS, number - begin)
            command = ("sbatch", "--parsable", f"--array=0-{tasks}", *HELD)
            array = self.cluster.run(*command, user=self.other).strip()
            # An update of some tasks takes each of them out of the array's record.
            self.cluster.run("scontrol", "update", f"JobId={array}_[0-{tasks - 1}]", "Nice=1")
            self.cluster.run("scancel", f"{array}_{tasks}")

    def requests(self) -> tuple[int, float]:
        """Return how many requests about jobs there were, and how many ms they took in all."""
        text = self.cluster.run("sdiag").partition("by message type")[2].partition("by user")[0]
        rows = re.findall(r"REQUEST_JOB\w*INFO\w*\s.*?count:(\d+).*?total_time:(\d+)", text)
        return sum(int(one) for one, _ in rows), sum(int(time_us) for _, time_us in rows) / 1000

    def submit_now_and_then(self) -> list[float]:
        """Submit a job of somebody else every second, and return how many ms each submit took."""
        took_ms = []
        for _ in range(SECONDS):
            begun = time.perf_counter()
            self.submit(self.other)
            took_ms.append((time.perf_counter() - begun) * 1000)
            time.sleep(max(0.0, 1.0 - took_ms[-1] / 1000))
        return took_ms

    def measure(self, work) -> dict[str, object]:
        """Return what the controller has done while the work was done."""
        self.cluster.run("sdiag", "--reset")
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            submits = threads.submit(self.submit_now_and_then)
            work()
            count, took_ms = self.requests()
        submit_ms = sorted(submits.result())
        return {
            "rpcs": count,
            "rpc_ms": round(took_ms, 1),
            "submit_ms": {
                "median": round(statistics.median(submit_ms)),
                "worst": round(submit_ms[-1]),
            },
        }


def main() -> None:
    if "--ask" in sys.argv:
        asyncio.run(ask(sys.argv[sys.argv.index("--ask") + 1 :]))
        print(json.dumps({}))
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.slurm_hub import slurm
    from tests.real.users import USERS

    number = int(sys.argv[1]) if sys.argv[1:] else 20000
    with slurm() as cluster:
        environment = cluster.environment
        os.environ.update(environment)
        controller = Controller(cluster, USERS[0], USERS[1])
        controller.fill(number)
        job_ids = controller.submit_many(1000)

        def asked_by(python: str, servers: int) -> dict[str, object]:
            return controller.measure(
                lambda: run_in(python, "foreign.py", "--ask", *job_ids[:servers], **environment)
            )

        for servers in (10, 1000):
            results = {"foreign jobs": number, "servers": servers}
            results[OURS] = asked_by(sys.executable, servers)
            if servers == 10:
                results[PEER] = asked_by(peers_python(), servers)
                results[BARE] = controller.measure(bare)
                results[NOBODY] = controller.measure(lambda: time.sleep(SECONDS))
            report("foreign", results)


if __name__ == "__main__":
    main()
