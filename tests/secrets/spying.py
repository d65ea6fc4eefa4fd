"""Other users of a site, who search for secrets in all that they may read."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.users import MATE, STRANGER, USERS

if TYPE_CHECKING:
    from collections.abc import Iterator

SPY = Path(__file__).with_name("spy.py")
CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-[0-9]+")

# What a curious user asks the scheduler.
QUESTIONS = {
    "local": ["{python} -m batchspawner.localqueue query"],
    "slurm": [
        "squeue -a -o %all",
        "scontrol show job -dd {job}",
        "scontrol write batch_script {job} -",
        "scontrol listpids {job}",
        "sacct -a -P -o ALL -j {job}",
        "sstat -a -P -j {job}",
    ],
    "gridengine": [
        "qstat -j {job}",
        "qstat -xml -j {job}",
        "qstat -f -r -ext -u *",
        "qacct -j {job}",
    ],
    "htcondor": [
        "condor_q -allusers -long",
        "condor_q -allusers -xml",
        "condor_history -long {job}",
        "condor_status -long",
        "condor_who -long",
    ],
    "oar": ["oarstat -f -j {job}", "oarstat -f -J", "oarstat -p -j {job}", "oarstat --sql id>0"],
}


class Spies:
    """Other users who search everything for secrets.

    One has no job on the site and no group with anybody, one is in the group of the first user, who
    owns the jobs, and one is another user of the site, who may log in to its nodes.
    """

    def __init__(self, site, *known: str):
        self.site, self.known = site, known
        # The clock of a file system may be a little behind.
        self.since = time.time() - 2
        self.processes: dict[str, subprocess.Popen] = {}

    def begin(self, job: str = "0", *more: str) -> None:
        words = {"python": sys.executable, "job": job.split(";")[0]}
        commands = [[w.format(**words) for w in q.split()] for q in QUESTIONS[self.site.name]]
        order = {
            "secrets": [*self.known, *more],
            "folders": [*folders(self.site), *recent(self.site, self.since)],
            "since": self.since,
            "commands": commands,
        }
        for name, argv in others(self.site).items():
            self.processes[name] = subprocess.Popen(
                [*argv, sys.executable, SPY],
                cwd="/",
                text=True,
                env={**os.environ, **self.site.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        # The arguments of processes are the same for all who look: one watches them all the time.
        for number, one in enumerate(self.processes.values()):
            one.stdin.write(json.dumps({**order, "watches": number == 0}) + "\n")
            one.stdin.flush()

    def end(self) -> list[str]:
        """Return the places in which there were secrets, and who has seen them."""
        processes, self.processes = self.processes, {}
        # They search at the same time.
        for one in processes.values():
            one.stdin.close()
        found = []
        for name, one in processes.items():
            with one:
                out = one.stdout.read()
            assert one.returncode == 0, name
            found += [f"{name}: {place}" for place in json.loads(out)]
        return found

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Search the processes from now on."""
        self.begin()
        try:
            yield
        finally:
            if self.processes:
                self.end()

    def look(self, *how: str) -> list[str]:
        self.begin(*how)
        return self.end()


def others(site) -> dict[str, list[str]]:
    """Return for each of the other users the command that runs another one as them.

    Skip the test where nobody else can look.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can look with the eyes of another user")
    if site.name == "local":
        ids = {"nobody": (65534, 65534), "another": (65533, 65533), "group": (65532, os.getegid())}
        found = {
            name: ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
            for name, (uid, gid) in ids.items()
        }
    else:
        path = f"PATH={site.environment.get('PATH', os.environ['PATH'])}"
        names = (STRANGER, MATE, USERS[-1])
        found = {name: ["sudo", "-E", "-u", name, "env", path] for name in names}
    if not all(_can_run_python(tuple(argv)) for argv in found.values()):
        pytest.skip(f"another user cannot run {os.path.realpath(sys.executable)}")
    return found


@functools.cache
def _can_run_python(argv: tuple[str, ...]) -> bool:
    """Check whether this Python runs for a user who may not enter the homes of others."""
    python = [*argv, sys.executable, "-c", ""]
    return subprocess.run(python, cwd="/", capture_output=True, check=False).returncode == 0


def folders(site) -> list[str]:
    if site.name == "local":
        return [str(site.queue_folder)]
    cluster = site.cluster
    own = getattr(cluster, "prefix", None) or cluster.folder
    return [str(own), *(f"/home/{user}" for user in USERS)]


def recent(site, since: float) -> list[str]:
    """Return what owners of jobs have made, or changed, in folders of temporary files since then.

    What installs the test clusters keeps its packages there.
    """
    owners = {os.geteuid()} if site.name == "local" else {pwd.getpwnam(one).pw_uid for one in USERS}
    found = []
    for one in (*Path(tempfile.gettempdir()).iterdir(), *Path("/var/tmp").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            status = one.lstat()
            if status.st_ctime >= since and status.st_uid in owners:
                found.append(str(one))
    return found
