"""What a batch spawner adds to a start, one start after the other on a real Slurm.

`job_to_server_s` is from the job's first line until the server's program runs,
`listening_to_ready_s` from when it listens until JupyterHub says that it is ready; `added_s` is
both. What the server itself needs is not in it, and `queued_s`, until the job runs, is Slurm's.
usage: python benchmarks/start.py [STARTS]
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import report
from benchmarks.slurm_hub import OURS, PEER, slurm, slurm_hub
from tests.hubs import wait_for
from tests.real.users import USERS


def one_start(hub, notes: Path, user: str) -> dict[str, float]:
    """Return the seconds of what a batch spawner adds, and of the whole start."""
    # Slurm starts jobs once a second; the starts shall meet it at any moment of that second.
    time.sleep(random.random())
    asked = time.time()
    hub.begin(user)
    with hub.api("GET", f"users/{user}/server/progress", stream=True) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:") and json.loads(line[5:]).get("ready"):
                break
    ready = time.time()
    begun, listening, job = (notes / user).read_text().split()
    first = float((notes / f"job-{job}").read_text())
    hub.api("DELETE", f"users/{user}/server")
    wait_for(lambda: not hub.server(user), 60, "the end of the server")
    before, after = float(begun) - first, ready - float(listening)
    return {
        "job_to_server_s": before,
        "listening_to_ready_s": after,
        "added_s": before + after,
        "queued_s": first - asked,
        "request_to_ready_s": ready - asked,
    }


def figures(seen: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median and worst of each time."""
    return {
        name: {
            "median": round(statistics.median(one[name] for one in seen), 3),
            "worst": round(max(one[name] for one in seen), 3),
        }
        for name in seen[0]
    }


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    results = {"starts": starts}
    with slurm() as cluster:
        for which in (OURS, PEER):
            with slurm_hub(cluster, which, USERS[:1]) as (hub, notes):
                one_start(hub, notes, USERS[0])  # imports and caches
                results[which] = figures([one_start(hub, notes, USERS[0]) for _ in range(starts)])
    results["ratio"] = {
        name: round(results[PEER][name]["median"] / results[OURS][name]["median"], 1)
        for name in ("added_s", "listening_to_ready_s")
    }
    report("start", results)


if __name__ == "__main__":
    main()
