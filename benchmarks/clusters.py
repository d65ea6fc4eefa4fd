"""Start N engines on this machine, until the client sees all: a job, and ipyparallel by itself.

usage: python benchmarks/clusters.py [N ...]

ipyparallel gives each engine a session of its own, and Linux shares a busy machine out among
sessions (`sched_autogroup_enabled`). So ours gets them here, too: both have the same share then.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measuring import report, run_in

TIMEOUT = 300.0


def ours(number: int, folder: Path) -> dict:
    """Start a cluster as one job of the embedded queue."""
    from batchspawner.clusters import Cluster

    os.environ["BATCHSPAWNER_QUEUE_DIR"] = str(folder / "queue")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec setsid {sys.executable} "$@"\n')
    python.chmod(0o755)
    cluster = Cluster(number, scheduler="local", python=str(python))
    return _measured(cluster.start, lambda: cluster.client(timeout=TIMEOUT), cluster.stop)


def plain(number: int, _folder: Path) -> dict:
    """Start a cluster as ipyparallel does it by itself."""
    import ipyparallel as ipp

    cluster = ipp.Cluster(n=number, profile_dir=os.environ["IPYTHONDIR"] + "/profile_x", delay=0)

    def client():
        rc = cluster.connect_client_sync()
        rc.wait_for_engines(number, timeout=TIMEOUT, interactive=False)
        return rc

    return _measured(cluster.start_cluster_sync, client, cluster.stop_cluster_sync)


def _measured(start, client, stop) -> dict:
    begun = time.perf_counter()
    start()
    try:
        rc = client()
        joined = time.perf_counter() - begun
        rc[:].apply_sync(os.getpid)
        used = time.perf_counter() - begun
        rc.close()
    finally:
        ending = time.perf_counter()
        stop()
    return {
        "all_joined_s": round(joined, 2),
        "first_results_s": round(used, 2),
        "stopped_s": round(time.perf_counter() - ending, 2),
    }


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        import json

        warnings.simplefilter("ignore")
        with tempfile.TemporaryDirectory() as name:
            os.environ.update(XDG_DATA_HOME=f"{name}/data", IPYTHONDIR=f"{name}/ipython")
            done = {"ours": ours, "plain": plain}[sys.argv[2]](int(sys.argv[3]), Path(name))
        print(json.dumps(done))
        return
    for number in [int(word) for word in sys.argv[1:]] or [4, 64]:
        mine = run_in(sys.executable, "clusters.py", "--one", "ours", str(number))
        peer = run_in(sys.executable, "clusters.py", "--one", "plain", str(number))
        ratio = {key: round(peer[key] / max(mine[key], 1e-4), 2) for key in mine}
        report(
            "clusters",
            {"engines": number, "batchspawner": mine, "ipyparallel": peer, "ratio": ratio},
        )


if __name__ == "__main__":
    main()
