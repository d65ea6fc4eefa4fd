"""Restart a Hub with N running servers: queries and seconds until all are known again.

Python's own search for garbage goes through all that a Hub holds, and is kept out: see poll.py.
usage: python benchmarks/restart.py [N ...]
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Stalls, calls, cpu, fake_squeue, peers_python, report, run_in, spawners


async def measure(number: int) -> dict:
    """Do what JupyterHub does with each server when it begins: poll, and ask for its URL.

    It makes all spawners before, and loads their states.
    """
    from batchspawner import SlurmSpawner

    def load(one, n: int) -> None:
        one.load_state(
            {
                "job_id": str(n),
                "job_status": "RUNNING node1",
                "job_tag": f"jh-{n:012x}",
                "job_host": f"node{n % 500}",
                "job_port": 4321,
            }
        )

    async def check(one) -> None:
        assert await one.poll() is None
        await one.get_url()

    class Server(SlurmSpawner):
        server = SimpleNamespace(ip="node1", port=4321, url="http://node1:4321/", base_url="/")
        env_keep = ["PATH"]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fake_squeue(folder, number)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        servers = spawners(Server, number)
        for n, one in enumerate(servers, 1):
            load(one, n)
        gc.collect()
        gc.freeze()
        async with Stalls() as stalls:
            begun, used = time.perf_counter(), cpu()
            await asyncio.gather(*map(check, servers))
            used, took = cpu() - used, time.perf_counter() - begun
        made = calls(folder)
    return {
        "commands": made,
        "seconds": round(took, 3),
        "cpu_s": round(used, 3),
        "stall_s": round(stalls.worst, 3),
        "stall_cpu_s": round(stalls.worst_cpu, 3),
    }


def main() -> None:
    if "--one" in sys.argv:
        print(json.dumps(asyncio.run(measure(int(sys.argv[-1])))))
        return
    for number in [int(word) for word in sys.argv[1:]] or [1000]:
        ours = run_in(sys.executable, "restart.py", "--one", str(number))
        peer = run_in(peers_python(), "restart.py", "--one", str(number))
        ratio = {key: round(peer[key] / max(ours[key], 1e-3), 1) for key in ours}
        report(
            "restart",
            {"servers": number, "batchspawner 2": ours, "batchspawner 1.3.0": peer, "ratio": ratio},
        )


if __name__ == "__main__":
    main()
