"""From the moment when a user's server listens until JupyterHub says that it is ready.

On a real Slurm, one start after the other, with a server that starts in no time.
usage: python benchmarks/start.py [STARTS]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import report
from benchmarks.slurm_hub import OURS, PEER, slurm, slurm_hub
from tests.clusters.users import USERS
from tests.hubs import wait_for


def one_start(hub, notes: Path, user: str) -> tuple[float, float]:
    """Return the seconds from listening to ready, and from the request to ready."""
    asked = time.time()
    hub.begin(user)
    with hub.api("GET", f"users/{user}/server/progress", stream=True) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:") and json.loads(line[5:]).get("ready"):
                break
    ready = time.time()
    listening = float((notes / user).read_text())
    hub.api("DELETE", f"users/{user}/server")
    wait_for(lambda: not hub.server(user), 60, "the end of the server")
    return ready - listening, ready - asked


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    results = {"starts": starts}
    with slurm() as cluster:
        for which in (OURS, PEER):
            with slurm_hub(cluster, which, USERS[:1]) as (hub, notes):
                one_start(hub, notes, USERS[0])  # imports and caches
                seen = [one_start(hub, notes, USERS[0]) for _ in range(starts)]
            added, whole = zip(*seen)
            results[which] = {
                "listening_to_ready_s": {"median": round(statistics.median(added), 3),
                                         "worst": round(max(added), 3)},
                "request_to_ready_s": {"median": round(statistics.median(whole), 3)},
            }  # fmt: skip
    results["ratio"] = round(
        results[PEER]["listening_to_ready_s"]["median"]
        / results[OURS]["listening_to_ready_s"]["median"], 1,
    )  # fmt: skip
    report("start", results)


if __name__ == "__main__":
    main()
