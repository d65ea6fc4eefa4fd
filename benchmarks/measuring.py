"""What the benchmarks share: peers in an environment of their own, and ways to measure."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEER = "batchspawner==1.3.0"


def python_with(packages: tuple[str, ...], folder: str) -> str:
    """Return the Python of an environment, made once, that has packages from PyPI."""
    python, stamp = ROOT / folder / "bin" / "python", ROOT / folder / ".made"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", ROOT / folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        stamp.touch()
    return str(python)


def peers_python() -> str:
    """Return the Python that has the peer, from PyPI, with the same JupyterHub as ours."""
    from jupyterhub import __version__

    return python_with((PEER, f"jupyterhub=={__version__}"), ".venv-peers")


def run_in(python: str, script: str, *arguments: str, timeout: float = 600, **environment: str):
    """Run a benchmark's part in a Python and return the JSON object that it printed last."""
    # Not through `-m`: the peer's Python must not find our packages.
    done = subprocess.run(
        [python, str(ROOT / "benchmarks" / script), *arguments],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


class Stalls:
    """Measure how long the event loop was not free, in seconds, while the block ran.

    `worst_cpu` is processor time, which other programs on the machine do not make longer.
    """

    worst = worst_cpu = 0.0

    async def __aenter__(self) -> Stalls:
        self._task = asyncio.ensure_future(self._tick())
        await asyncio.sleep(0.05)
        self.worst = self.worst_cpu = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            begun, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            self.worst = max(self.worst, time.perf_counter() - begun - 0.001)
            self.worst_cpu = max(self.worst_cpu, time.thread_time() - used)


def cpu() -> float:
    """Return the processor seconds that this process, without its children, has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def used(pid: int) -> float:
    """Return the processor seconds of a process, without those of its children."""
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def listed(job: int | str, host: str) -> str:
    """Return the line about a running job in the listing of the fake `squeue`."""
    return f"{job}|RUNNING|{host}|1795000000|1895086400|day|None\n"


def fake_squeue(folder: Path, jobs: int, host: str = "node1") -> Path:
    """Make a `squeue` that knows running jobs 1 to N in no time, and counts its calls.

    It answers what ours asks for, and what the peer asks for of one job, which is on `host`.
    """
    listing = folder / "listing"
    listing.write_text("".join(listed(n, f"node{n % 500}") for n in range(1, jobs + 1)))
    program = folder / "squeue"
    program.write_text(
        "#!/bin/sh\n"
        f"echo x >> {folder}/calls\n"
        'case "$*" in\n'
        f"  *%T\\ %B*) echo RUNNING {host} ;;\n"
        f"  *) exec cat {listing} ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    return program


def calls(folder: Path) -> int:
    """Return how often the fake `squeue` ran."""
    file = folder / "calls"
    return len(file.read_text().splitlines()) if file.exists() else 0


def spawners(cls: type, number: int) -> list:
    """Make spawners of running jobs 1 to N, as a Hub has them, without its database."""
    from types import SimpleNamespace

    import tornado.log  # noqa: F401  (jupyterhub's spawners log through it)

    hub = SimpleNamespace(
        public_host="",
        api_url="http://127.0.0.1:8081/hub/api",
        base_url="/hub/",
        routespec="/",
        url="http://127.0.0.1:8081/hub/",
        server=SimpleNamespace(base_url="/hub/"),
    )
    made, name = [], getpass.getuser()
    for n in range(1, number + 1):
        user = SimpleNamespace(
            name=name, escaped_name=name, url=f"/user/{name}/", id=n, settings={}, admin=False
        )
        one = cls(user=user, hub=hub, orm_spawner=None, exec_prefix="", api_token="x")
        one.job_id = str(n)
        made.append(one)
    return made


def report(name: str, results: dict) -> None:
    """Print a benchmark's figures as one JSON line."""
    print(json.dumps({"benchmark": name, **results}))
