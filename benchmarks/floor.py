"""What a Hub's own process costs: with a spawner that does nothing, with ours, and with the peer.

The Hubs are those of `stub_hub`. The figures are processor time of the Hub's process, without the
commands that it runs: `start_ms` for one start, until all servers are ready, `poll_ms` for one poll
of a ready server, and `restart_ms` for each running server until a Hub that was started again has
found all. `api_p99_s` and `api_worst_s` are the Hub's answers to one user's model while all servers
start. `server_kb` is what a running server has allocated in Python's memory.
usage: python benchmarks/floor.py [STARTS [ROUNDS]]
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import report, used
from benchmarks.sampler import Sampler
from benchmarks.stub_hub import FLOOR, OURS, PEER, POLL_INTERVAL_S, hub_with, inside, start
from tests.hubs import Hub, wait_for

POLLS = 6


def wait_until_ready(hub: Hub) -> None:
    """Wait for all servers, without asking the Hub so often that it shows in the figures."""

    def are_ready() -> bool:
        time.sleep(0.5)
        models = hub.api("GET", f"users?state=ready&limit={len(hub.users)}").json()
        return len(models) == len(hub.users)

    wait_for(are_ready, 120, "all servers")


def answers(which: str, users: tuple[str, ...]) -> dict[str, float]:
    """Start servers at once, and ask for a user's model all the time."""
    with hub_with(which, users) as (hub, _):
        sampler = Sampler(hub, users[0])
        sampler.start()
        start(hub, users)
        times = sampler.end()
    return {name: times[name] for name in ("api_p99_s", "api_worst_s")}


def costs(which: str, users: tuple[str, ...]) -> dict[str, float]:
    """Start servers at once, poll them, and restart the Hub."""
    with hub_with(which, users) as (hub, _):
        begun = used(hub.process.pid)
        start(hub, users)
        starting = used(hub.process.pid) - begun

        begun = used(hub.process.pid)
        time.sleep(POLL_INTERVAL_S * POLLS)
        polling = used(hub.process.pid) - begun

        hub.kill()
        hub.start()
        wait_until_ready(hub)
        restarting = used(hub.process.pid)
    return {
        "start_ms": starting / len(users) * 1000,
        "poll_ms": polling / len(users) / POLLS * 1000,
        "restart_ms": restarting / len(users) * 1000,
    }


def memory(which: str, users: tuple[str, ...]) -> dict[str, float]:
    """Start servers, some as a warm-up, and see what each of the others has allocated."""
    half = len(users) // 2
    with hub_with(which, users, PYTHONTRACEMALLOC="1") as (hub, _):
        # Of the first server, Python learns which attributes the others share.
        start(hub, users[:1])
        start(hub, users[1:half])
        before = inside(hub)["traced"]
        start(hub, users[half:])
        allocated = inside(hub)["traced"] - before
    return {"server_kb": round(allocated / len(users[half:]) / 1000, 1)}


def main() -> None:
    starts, rounds = [*(int(word) for word in sys.argv[1:]), 200, 3][:2]
    users = tuple(f"user{n}" for n in range(starts))
    found: dict[str, list[dict[str, float]]] = {FLOOR: [], OURS: [], PEER: []}
    for _ in range(rounds):
        for which, measures in found.items():
            measures.append({**costs(which, users), **answers(which, users)})
    results: dict[str, object] = {"starts": starts}
    for which, measures in found.items():
        results[which] = {
            key: round(statistics.median(one[key] for one in measures), 3) for key in measures[0]
        } | memory(which, users)
    for which in (OURS, PEER):
        results[f"{which} / {FLOOR}"] = {
            key: round(results[which][key] / results[FLOOR][key], 2) for key in results[FLOOR]
        }
    report("floor", results)


if __name__ == "__main__":
    main()
