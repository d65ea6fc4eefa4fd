"""Live an hour with thousands of servers in seconds: does memory grow, is a task left behind?

The scheduler is a dictionary and the clock a virtual one, so that an hour takes seconds; client,
monitor and watches are the real ones.
usage: python benchmarks/life.py [SERVERS]
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batchspawner.client.batch_client import BatchClient
from batchspawner.jobs import JobRequest, JobState
from benchmarks.measuring import report
from tests.fakes import FakeScheduler, fake
from tests.virtualtime import VirtualLoop

HOUR = 3600.0
LIFE = 1800.0
"""Mean seconds that a server lives."""


class Calm(FakeScheduler):
    """Bear as many queries as Slurm does."""

    minimum_interval = 2.0


async def live(client: BatchClient, cluster, chance: random.Random, until: float) -> None:
    """Start servers, one after the other, and watch each until it ends, up to a time."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        job_id = await client.submit(JobRequest("#!/bin/sh\n", f"t{chance.getrandbits(64)}"))
        watch = client.watch(job_id, 0.5)
        await asyncio.sleep(chance.uniform(1, 60))
        cluster.run(job_id, f"node{chance.randrange(500)}")
        await watch.until(lambda status: status.state is JobState.RUNNING)
        watch.interval = 30.0
        await asyncio.sleep(chance.expovariate(1 / LIFE))
        cluster.set(job_id, JobState.COMPLETED)
        await watch.until(lambda status: status.is_final)
        watch.close()
        # A real scheduler forgets, too.
        cluster.ended.pop(job_id, None)
        cluster.requests.clear()
        cluster.commands.clear()


async def an_hour(servers: int) -> dict:
    cluster, scheduler, runner = fake()
    client = BatchClient(Calm(scheduler.cluster), runner)
    chance = random.Random(1)
    begun, idle = time.perf_counter(), len(asyncio.all_tasks())
    hands = [asyncio.ensure_future(live(client, cluster, chance, HOUR)) for _ in range(servers)]
    sizes = []
    for moment in (HOUR / 4, HOUR):
        await asyncio.sleep(moment - asyncio.get_running_loop().time())
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    for hand in hands:
        hand.cancel()
    await asyncio.gather(*hands, return_exceptions=True)
    from batchspawner.client.monitor import shared_monitor

    monitor = shared_monitor(client.scheduler, client.query_runner)
    for watch in monitor.watches():
        watch.close()
    await asyncio.sleep(60)
    return {
        "servers": servers,
        "queries": monitor.queries,
        "wall_s": round(time.perf_counter() - begun),
        "MB_after_15_min": round(sizes[0] / 1e6, 1),
        "MB_after_60_min": round(sizes[1] / 1e6, 1),
        "tasks_left": len(asyncio.all_tasks()) - idle,
        "peak_rss_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    servers = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    tracemalloc.start()
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    report("life", loop.run_until_complete(an_hour(servers)))


if __name__ == "__main__":
    main()
