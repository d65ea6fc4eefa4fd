"""Run every benchmark and write docs/benchmarks.md: what was measured, when, on what.

usage: python benchmarks/run.py [NAME ...]
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = {
    "poll": "One round of polling, all servers at once",
    "restart": "A Hub restarts with running servers",
    "start": "A server listens until JupyterHub says that it is ready (real Slurm)",
    "burst": "Many starts at once (real Slurm)",
    "floor": "What a Hub's own process spends, beside a spawner that does nothing",
    "foreign": "A few servers beside 20,000 waiting jobs of others (real Slurm)",
    "functions": "Two hundred functions as jobs (real Slurm; stopped after 120 s)",
    "clusters": "Many engines on one machine (the peer is ipyparallel alone)",
    "kernels": "A kernel in a job and one on this machine",
    "encryption": "Encrypted connections between programs and their jobs (embedded queue)",
    "admin": "Pages about many servers, and a list of many jobs, that are left open",
    "life": "An hour with thousands of servers, on a virtual clock",
    "soak": "A whole Hub whose users come and go (PostgreSQL)",
}
TIMEOUT_S = 1800
TIMEOUTS_S = {"soak": 3 * 3600}
"""Of those that need another one."""
HEAD = """# Benchmarks

Written by `make bench`: batchspawner {version}, JupyterHub {jupyterhub}, Python {python},
{cores} cores, {slurm}.

The peer is batchspawner 1.3.0 from PyPI, in an environment of its own, in the same run on the same
machine. A ratio is the peer's figure divided by ours. The first lines of the scripts in
`benchmarks/` say what each number means.
"""


def results_of(name: str) -> list[dict]:
    """Run one benchmark and return the objects that it prints; they are shown as they come."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    timeout = TIMEOUTS_S.get(name, TIMEOUT_S)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=timeout)
    sys.stdout.write(done.stdout)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def flat(value: object, name: str = "") -> dict[str, object]:
    """Return the figures of an object by the way to each."""
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, object] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{name}, {key}" if name else key)
    return found


def table(result: dict) -> list[str]:
    """Return a table with a column for each of those that were measured beside each other."""
    columns = {key: flat(value) for key, value in result.items() if isinstance(value, dict)}
    single = {key: value for key, value in result.items() if key not in columns}
    figures = (f"{key}: {value}" for key, value in single.items() if key != "benchmark")
    rows = textwrap.wrap(", ".join(figures), 100) or [""]
    if columns:
        names = dict.fromkeys(name for figures in columns.values() for name in figures)
        rows += ["", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        rows += [
            f"| {name} | {' | '.join(str(one.get(name, '')) for one in columns.values())} |"
            for name in names
        ]
    return [*rows, ""]


def section(name: str, results: list[dict]) -> str:
    """Return what a benchmark has measured."""
    lines = [f"## {TITLES[name]}", "", f"Measured on {datetime.date.today()}.", ""]
    for one in results:
        lines += table(one)
    return "\n".join(lines if results else [*lines, "Not measured here.", ""])


def sections_of(page: str) -> dict[str, str]:
    """Return what an earlier run has written, by title."""
    parts = page.split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part.strip()}\n" for part in parts}


def slurm_version() -> str:
    try:
        done = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no Slurm"
    return done.stdout.strip()


def main() -> None:
    import jupyterhub

    from batchspawner import __version__

    names = sys.argv[1:] or list(TITLES)
    known = sections_of(PAGE.read_text()) if PAGE.exists() else {}
    for name in names:
        known[TITLES[name]] = section(name, results_of(name))
        head = HEAD.format(
            version=__version__,
            jupyterhub=jupyterhub.__version__,
            python=platform.python_version(),
            cores=os.cpu_count(),
            slurm=slurm_version(),
        )
        kept = [known[title] for title in TITLES.values() if title in known]
        PAGE.write_text("\n".join([head, *kept]))


if __name__ == "__main__":
    main()
