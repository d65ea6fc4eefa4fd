"""Ask once whether N running servers live: commands, processor time, worst stall of the Hub.

Python's own search for garbage goes through all that a Hub holds, whatever its spawners do, and
takes `gc_s`; it is kept out of the round.
usage: python benchmarks/poll.py [N ...]
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Stalls, calls, cpu, fake_squeue, peers_python, report, run_in, spawners


async def measure(number: int) -> dict:
    """Poll all servers once, in this Python's batchspawner."""
    from batchspawner import SlurmSpawner

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fake_squeue(folder, number)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        servers = spawners(SlurmSpawner, number)
        for one in servers:
            # The peer's own way to pass PATH on would measure something else.
            one.env_keep = ["PATH"]
        if hasattr(servers[0], "backend"):
            await asyncio.gather(*(one.poll() for one in servers))
            for one in servers:
                one.job.serving("node1", 8888)  # its server has come up
        collecting = time.perf_counter()
        gc.collect()
        collecting = time.perf_counter() - collecting
        gc.freeze()
        before = calls(folder)
        async with Stalls() as stalls:
            begun, used = time.perf_counter(), cpu()
            if hasattr(servers[0], "backend"):
                # A round is what happens in one poll_interval: one query and everybody's poll.
                await servers[0].backend._watch().renewed()
            alive = await asyncio.gather(*(one.poll() for one in servers))
            used, took = cpu() - used, time.perf_counter() - begun
        assert alive == [None] * number
        made = calls(folder) - before
    return {
        "commands": made,
        "cpu_s": round(used, 4),
        "stall_s": round(stalls.worst, 4),
        "wall_s": round(took, 3),
        "gc_s": round(collecting, 3),
    }


def main() -> None:
    if "--one" in sys.argv:
        import json

        print(json.dumps(asyncio.run(measure(int(sys.argv[-1])))))
        return
    for number in [int(word) for word in sys.argv[1:]] or [100, 1000, 10000]:
        ours = run_in(sys.executable, "poll.py", "--one", str(number))
        results = {"servers": number, "batchspawner 2": ours}
        if number <= 1000:
            peer = run_in(peers_python(), "poll.py", "--one", str(number))
            results["batchspawner 1.3.0"] = peer
            compared = [key for key in ours if key != "gc_s"]
            results["ratio"] = {k: round(peer[k] / max(ours[k], 1e-4), 1) for k in compared}
        report("poll", results)


if __name__ == "__main__":
    main()
