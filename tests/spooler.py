"""Task Spooler, the scheduler of docs/adding-a-scheduler.md, as another distribution brings it."""

from __future__ import annotations

import configparser
import getpass
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from batchspawner.client.batch_client import BatchClient
from tests.sites import Site

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "spooler"
PACKAGE = EXAMPLE / "batchspawner_spooler"
UNAVAILABLE = "" if shutil.which("tsp") else "it is not installed (apt-get install task-spooler)"


def load():
    """Return the module of the example, without installing its distribution."""
    spec = importlib.util.spec_from_file_location(PACKAGE.name, PACKAGE / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def install(folder: Path) -> dict[str, str]:
    """Install the example into a folder as pip would, and return the variables of its machine."""
    project = configparser.ConfigParser()
    project.read(EXAMPLE / "pyproject.toml")
    info = folder / "site" / "batchspawner_spooler-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: batchspawner-spooler\nVersion: 1.0\n"
    )
    lines = []
    for section in project.sections():
        if section.startswith("project.entry-points."):
            lines.append(f"[{section.split('entry-points.')[1].strip(chr(34))}]")
            lines += [f"{key} = {value.strip(chr(34))}" for key, value in project[section].items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    shutil.copytree(PACKAGE, folder / "site" / PACKAGE.name)
    return {"PYTHONPATH": str(folder / "site"), **queue(folder)}


def queue(folder: Path) -> dict[str, str]:
    """Return the variables of a queue of its own in a folder."""
    (folder / "tmp").mkdir(parents=True)
    return {"TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder / "tmp")}


def tsp(environment: dict[str, str], *argv: str) -> str:
    done = subprocess.run(
        ["tsp", *argv], env={**os.environ, **environment}, capture_output=True, text=True
    )
    return done.stdout.strip()


class SpoolerSite(Site):
    """A queue of Task Spooler with two slots; all jobs belong to the user who runs the tests."""

    name = "spooler"
    unavailable = UNAVAILABLE
    refused = ("-Z",)
    can_signal = can_requeue = shows_start = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fillers: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return self.variables

    def start(self) -> None:
        self.variables = queue(self.folder)
        tsp(self.variables, "-S", "2")

    def stop(self) -> None:
        for job_id in self.fillers:
            self.cancel(job_id)
        tsp(self.variables, "-K")

    def jobs(self) -> list[tuple[str, str, str]]:
        rows = [line.split() for line in tsp(self.variables).splitlines()]
        states = ("running", "queued")
        return [(row[0], getpass.getuser(), row[1]) for row in rows if row[1] in states]

    def client(self) -> BatchClient:
        return BatchClient(load().Spooler())

    def fill(self) -> None:
        """Leave no room, so that the next job has to wait."""
        self.fillers = [tsp(self.variables, "sleep", "600") for _ in range(2)]

    def drain(self) -> None:
        for job_id in self.fillers:
            self.cancel(job_id)
        self.fillers = []

    def cancel(self, job_id: str) -> None:
        tsp(self.variables, "-k", job_id)  # one that runs
        tsp(self.variables, "-r", job_id)  # one that waits

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        os.environ["TS_SOCKET"] = "/nowhere/socket"

    def repair(self) -> None:
        os.environ["TS_SOCKET"] = self.variables["TS_SOCKET"]
