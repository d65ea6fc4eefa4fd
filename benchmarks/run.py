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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = {
    "poll": "One round of polling, all servers at once",
    "restart": "A Hub restarts with running servers",
    "start": "A server listens until JupyterHub says that it is ready (real Slurm)",
    "burst": "Many starts at once (real Slurm)",
    "functions": "Two hundred functions as jobs (real Slurm)",
    "clusters": "Many engines on one machine (the peer is ipyparallel by itself)",
    "kernels": "A kernel in a job and one on this machine",
    "life": "An hour with thousands of servers, on a virtual clock",
}
HEAD = """# Benchmarks

Written by `make bench` on {date}: batchspawner {version}, JupyterHub {jupyterhub},
Python {python}, {cores} cores, {slurm}.

The peer is batchspawner 1.3.0 from PyPI, in an environment of its own, in the same run on the same
machine. A ratio is the peer's figure divided by ours. What each number means stands in the first
lines of the scripts in `benchmarks/`.
"""


def results_of(name: str) -> list[dict]:
    """Run one benchmark and return the objects that it prints; they are shown as they come."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=1800)
    sys.stdout.write(done.stdout)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def flat(value: object, name: str = "") -> list[tuple[str, object]]:
    """Return the figures of an object with the way to each."""
    if not isinstance(value, dict):
        return [(name, value)]
    return [
        one
        for key, inner in value.items()
        for one in flat(inner, f"{name}, {key}" if name else key)
    ]


def section(name: str, results: list[dict]) -> str:
    """Return a table of what a benchmark has measured."""
    rows = [f"## {TITLES[name]}\n", "| | |", "|---|---|"]
    for one in results:
        figures = {key: value for key, value in one.items() if key != "benchmark"}
        rows += [f"| {key} | {value} |" for key, value in flat(figures)]
    return "\n".join(rows) + "\n" if results else f"## {TITLES[name]}\n\nNot measured here.\n"


def main() -> None:
    names = sys.argv[1:] or list(TITLES)
    import jupyterhub

    from batchspawner import __version__

    slurm = subprocess.run(["sbatch", "--version"], capture_output=True, text=True) if any(
        Path(folder, "sbatch").exists() for folder in os.environ["PATH"].split(os.pathsep)
    ) else None  # fmt: skip
    head = HEAD.format(
        date=datetime.date.today(), version=__version__, jupyterhub=jupyterhub.__version__,
        python=platform.python_version(), cores=os.cpu_count(),
        slurm=slurm.stdout.strip() if slurm else "no Slurm",
    )  # fmt: skip
    PAGE.write_text("\n".join([head, *(section(name, results_of(name)) for name in names)]))


if __name__ == "__main__":
    main()
