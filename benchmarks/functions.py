"""Trivial functions as jobs: from the call to the last result, and what Slurm is asked for that.

On a real Slurm, as an ordinary user, in a fresh process each time, by two jobs. The peers are
submitit (one array of all calls) and slurminade (two bundles of 100; it returns no results, so
its functions append to a file, and the time ends when that is complete). RPCs are those that
`sdiag` counts for the user. This Slurm starts jobs once a second, so that up to a second of each
time is its own; the best ones show what the libraries need.
usage: python benchmarks/functions.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("submitit==1.5.4", "slurminade==1.1.2")
TASKS = 200
MANY = 10_000
LIMIT = 120
"""Seconds after which one that is not done is given up: its figure is this."""


def square(number: int) -> int:
    return number * number


# --- what runs as the user, once in a process


def ours(tasks: int, _: Path) -> None:
    from batchspawner.functions import Executor

    begun = time.perf_counter()
    with Executor("slurm", workers=2) as executor:
        total = sum(executor.map(square, range(tasks)))
        seconds = time.perf_counter() - begun
    tell(seconds, total, tasks)


def submitit(tasks: int, folder: Path) -> None:
    import submitit as peer

    executor = peer.AutoExecutor(folder=folder / "logs")
    executor.update_parameters(timeout_min=10, slurm_array_parallelism=tasks)
    begun = time.perf_counter()
    jobs = executor.map_array(square, range(tasks))
    total = sum(job.result() for job in jobs)
    tell(time.perf_counter() - begun, total, tasks)


def tell(seconds: float, total: int, tasks: int) -> None:
    assert total == sum(n * n for n in range(tasks)), total
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "memory_mb": memory}))


# --- what runs them


def rpcs(cluster, user: str) -> int:
    """Return how many RPCs of a user the controller has counted."""
    for line in cluster.run("sdiag").splitlines():
        words = line.replace(":", " ").replace("(", " ").split()
        if words[:1] == [user] and "count" in words:
            return int(words[words.index("count") + 1])
    return 0


def one_round(cluster, user: str, which: str, tasks: int) -> dict:
    """Run one of them as a user, and return its figures."""
    from benchmarks.measuring import python_with  # not in the processes that are measured

    python = sys.executable
    if which != "ours":
        python = python_with(PACKAGES, ".venv-peers-functions")
    script = ["functions_slurminade.py"] if which == "slurminade" else ["functions.py", which]
    # This Slurm starts jobs once a second; the rounds shall meet it at any moment of that second.
    time.sleep(random.random())
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        before = rpcs(cluster, user)
        argv = ["sudo", "-E", "-H", "-u", user, "env", f"PATH={cluster.environment['PATH']}"]
        argv += [python, str(ROOT / "benchmarks" / script[0]), *script[1:], str(tasks), name]
        env = {**os.environ, **cluster.environment}
        with subprocess.Popen(
            argv,
            env=env,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, errors = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                # sudo alone would leave what it has started.
                os.killpg(process.pid, signal.SIGKILL)
                cluster.run("scancel", "-u", user)
                return {"seconds": LIMIT, "memory_mb": 0, "rpcs": rpcs(cluster, user) - before}
    if process.returncode:
        raise SystemExit(f"{which} failed:\n{errors[-4000:]}")
    time.sleep(1)  # what comes of the end of its jobs is not for the next one
    return {**json.loads(out.splitlines()[-1]), "rpcs": rpcs(cluster, user) - before}


def summary(rounds: list[dict]) -> dict:
    """Return the median round, by its seconds, and the worst."""
    ordered = sorted(rounds, key=lambda one: one["seconds"])
    middle = ordered[len(ordered) // 2]
    return {
        "seconds": {
            "best": round(ordered[0]["seconds"], 2),
            "median": round(middle["seconds"], 2),
            "worst": round(ordered[-1]["seconds"], 2),
        },
        "rpcs": middle["rpcs"],
        "memory_mb": max(one["memory_mb"] for one in rounds),
    }


def main() -> None:
    if len(sys.argv) > 2:
        globals()[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.measuring import report
    from benchmarks.slurm_hub import slurm
    from tests.real.users import USERS

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    user = USERS[0]
    results: dict = {"tasks": TASKS}
    with slurm() as cluster:
        # In turns, so that whatever else this machine does hits both alike.
        names = ("ours", "slurminade") * rounds
        seen = [(which, one_round(cluster, user, which, TASKS)) for which in names]
        seen.append(("submitit", one_round(cluster, user, "submitit", TASKS)))
        for which in ("ours", "slurminade", "submitit"):
            results[which] = summary([figures for name, figures in seen if name == which])
            print(which, results[which], file=sys.stderr)
        results["ours, 10 000 tasks"] = summary([one_round(cluster, user, "ours", MANY)])
    mine = results["ours"]["seconds"]["median"]
    for peer in ("slurminade", "submitit"):
        results[f"ratio to {peer}"] = round(results[peer]["seconds"]["median"] / mine, 1)
    report("functions", results)


if __name__ == "__main__":
    main()
