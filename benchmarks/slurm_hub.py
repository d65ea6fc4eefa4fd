"""Run a whole JupyterHub with ours or with the peer on a real Slurm, its servers being stubs."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import ROOT, peers_python
from tests.hubs import Hub
from tests.real.slurm import SlurmCluster, unavailable

OURS, PEER = "batchspawner 2", "batchspawner 1.3.0"
CONFIG = """
import batchspawner
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.JupyterHub.allow_named_servers = True
# JupyterHub's many commits would measure the disk.
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.log_level = "INFO"
c.Spawner.cmd = [{stub!r}]
c.Spawner.start_timeout = 300
c.Spawner.poll_interval = 30
c.Spawner.environment = {{
    "BENCHMARK_FOLDER": {notes!r}, "SLURM_CONF": {conf!r}, "PATH": {path!r},
}}
c.BatchSpawnerBase.exec_prefix = "sudo -E -H -u {{username}}"
c.BatchSpawnerBase.batchspawner_singleuser_cmd = {wrapper!r}
c.SlurmSpawner.req_memory = "20"
c.SlurmSpawner.req_runtime = "30"
c.SlurmSpawner.req_prologue = "cd /tmp; date +%s.%N > {notes}/job-$SLURM_JOB_ID"
"""
# Its nodes have names that nothing resolves.
MORE = {
    OURS: "c.SlurmSpawner.trust_reported_host = True\n",
    PEER: 'c.SlurmSpawner.state_exechost_re = r"\\s+(\\S+)$"\n'
    'c.SlurmSpawner.state_exechost_exp = "127.0.0.1"\n',
}


@contextlib.contextmanager
def slurm():
    """Start a Slurm, or say why there can be none."""
    if unavailable():
        raise SystemExit(f"no benchmark on Slurm: {unavailable()}")
    cluster = SlurmCluster().start()
    try:
        yield cluster
    finally:
        cluster.stop()


@contextlib.contextmanager
def slurm_hub(cluster: SlurmCluster, which: str, users: tuple[str, ...]):
    """Start a Hub with ours or the peer; yields it and the folder where its stubs note times."""
    python = sys.executable if which == OURS else peers_python()
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        folder.chmod(0o755)
        notes = folder / "notes"
        notes.mkdir()
        notes.chmod(0o1777)
        config = CONFIG.format(
            stub=str(ROOT / "benchmarks" / "stub.py"),
            notes=str(notes),
            conf=str(cluster.conf),
            path=cluster.environment["PATH"],
            wrapper=str(Path(python).parent / "batchspawner-singleuser"),
        )
        hub = Hub(folder, config + MORE[which], users, **cluster.environment)
        hub.python = python
        hub.start()
        try:
            hub.add_users()
            yield hub, notes
        finally:
            hub.stop()
            for user in users:
                cluster.run("scancel", "-u", user)
