"""Sites on which the same tests of a whole Hub run: the local queue and real schedulers."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from batchspawner.client.batch_client import BatchClient
from batchspawner.runners import LocalRunner
from tests.hubs import Hub, wait_for
from tests.real import gridengine, htcondor, oar, slurm
from tests.real.users import USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Site:
    """Base class of the sites with a real scheduler."""

    name = ""
    users = USERS
    quiet: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    can_signal = says_why = can_requeue = shows_start = True
    listing = submit = lost_answer = ""
    # Lines for a Hub whose jobs are to be started again soon after their node was lost.
    short_lease = ""
    # Whether only accounting tells how a job ended.
    forgets = False
    # What a user reads when a job was cancelled while it waited.
    never_ran = "cancelled"

    def script(self, body: str) -> str:
        """Return a job script that runs shell commands."""
        return f"#!/bin/sh\n{body}\n"

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment

    def start(self) -> None:
        self.cluster.start()

    def stop(self) -> None:
        self.cluster.stop()

    def jobs(self) -> list[tuple[str, str, str]]:
        return self.cluster.jobs()

    def owner_of(self, user: str) -> str:
        return user

    def without_accounting(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which no accounting tells how a job ended."""
        return contextlib.nullcontext()


class LocalSite(Site):
    """The embedded queue; all jobs belong to the user who runs the tests."""

    name = "local"
    users = ("ada", "ben", "cleo")
    unavailable = ""
    can_requeue = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue_folder = folder / "queue"
        self.filler = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BATCHSPAWNER_QUEUE_DIR": str(self.queue_folder),
            "BATCHSPAWNER_QUEUE_SLOTS": "3",
            "BATCHSPAWNER_QUEUE_GRACE": "2",
        }

    config = """
c.JupyterHub.spawner_class = "localqueue"
c.LocalQueueSpawner.req_homedir = {folder!r}
c.Spawner.args = ["--allow-root"]
"""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        ids = [job_id for job_id, _, _ in self.jobs()]
        if ids:
            self.queue("cancel", *ids)
            self.queue("wait", "--timeout", "120", *ids)

    def queue(self, *argv: str) -> str:
        command = [sys.executable, "-m", "batchspawner.localqueue", *argv]
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            input="#!/bin/sh\nsleep 600\n",
        )
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        listing = json.loads(self.queue("query"))
        owner = getpass.getuser()
        return [(job["id"], owner, job["state"]) for job in listing["jobs"]]

    def owner_of(self, user: str) -> str:
        return getpass.getuser()

    def fill(self) -> None:
        """Take all slots, so that the next job has to wait."""
        self.filler = self.queue("submit", "--slots=3").strip()
        assert self.filler

    def drain(self) -> None:
        if self.filler:
            self.queue("cancel", self.filler)
            self.filler = ""

    def cancel(self, job_id: str) -> None:
        self.queue("cancel", job_id)

    def client(self) -> BatchClient:
        return BatchClient("local")

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        self.queue_folder.chmod(0o755)

    def repair(self) -> None:
        self.queue_folder.chmod(0o700)


class SlurmSite(Site):
    """A real Slurm; each job belongs to its user."""

    name = "slurm"
    kind = slurm.SlurmCluster
    unavailable = slurm.unavailable()
    quiet = ("--output=/dev/null", "--chdir=/")
    listing, submit = "squeue", "sbatch"
    lost_answer = "sbatch: error: Batch job submission failed: Socket timed out on send/recv"
    config = """
c.JupyterHub.spawner_class = "slurm"
c.SlurmSpawner.req_runtime = "0:20:00"
c.SlurmSpawner.req_memory = "400M"
# The nodes of this cluster have names that nothing resolves.
c.SlurmSpawner.trust_reported_host = True
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = self.kind()

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.cluster.conf)}

    def fill(self) -> None:
        self.cluster.run("scontrol", "update", "partitionname=normal", "state=down")

    def drain(self) -> None:
        self.cluster.run("scontrol", "update", "partitionname=normal", "state=up")

    def cancel(self, job_id: str) -> None:
        self.cluster.run("scancel", job_id)

    def requeue(self, job_id: str) -> None:
        self.cluster.run("scontrol", "requeue", job_id)

    def client(self) -> BatchClient:
        return BatchClient(
            "slurm", LocalRunner(("sudo", "-E", "-H", "-u", USERS[0])), LocalRunner()
        )

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        self.cluster.controller("TERM")

    def repair(self) -> None:
        self.cluster.start()

    def lose_node(self, job_id: str) -> None:
        """Take down the node of a job, with the job's processes."""
        self.cluster.lose(self.cluster.node_of(job_id), job_id)

    def forget(self) -> None:
        """Restart the controller without its state; it counts its jobs from 1 again."""
        self.cluster.controller("KILL")
        known = self.cluster.prefix / "state"
        shutil.rmtree(known)
        known.mkdir()
        self.cluster.start()


class Slurm24Site(SlurmSite):
    """A real Slurm 24.11, beside the one of this machine's packages."""

    name = "slurm24"
    kind = slurm.Slurm24Cluster
    unavailable = slurm.unavailable24()
    config = f"""{SlurmSite.config}
import os
# sudo would look for sbatch in its own path only.
c.SlurmSpawner.exec_prefix = "sudo -E -H -u {{username}} env PATH=" + os.environ["PATH"]
"""

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment

    def client(self) -> BatchClient:
        prefix = ("sudo", "-E", "-H", "-u", USERS[0], "env", f"PATH={self.environment['PATH']}")
        return BatchClient("slurm", LocalRunner(prefix), LocalRunner())


class GridEngineSite(Site):
    """A real Grid Engine; each job belongs to its user."""

    name = "gridengine"
    unavailable = gridengine.unavailable()
    quiet = ("-o", "/dev/null", "-j", "y", "-V")
    refused = ("-q", "nowhere")
    listing, submit = "qstat", "qsub"
    lost_answer = "error: commlib error: got read error"
    # Such a job is not in the accounting.
    never_ran = "no trace of the job"
    # Only `qstat -j` of the one job tells, and there is no command for signals.
    can_signal = says_why = False
    forgets = True
    config = """
import os
c.JupyterHub.spawner_class = "gridengine"
# sudo would look for qsub in its own path only.
c.GridengineSpawner.exec_prefix = "sudo -E -H -u {username} env PATH=" + os.environ["PATH"]
c.GridengineSpawner.req_options = "-r y"  # may be started a second time
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = gridengine.GridEngineCluster()

    def fill(self) -> None:
        self.cluster.run("qmod", "-d", "all.q")

    def drain(self) -> None:
        self.cluster.run("qmod", "-e", "all.q")

    def cancel(self, job_id: str) -> None:
        self.cluster.run("qdel", job_id)

    def requeue(self, job_id: str) -> None:
        self.cluster.run("qmod", "-rj", job_id)

    @contextlib.contextmanager
    def without_accounting(self) -> Iterator[None]:
        # Even root's qacct reads no folder.
        (common,) = self.cluster.prefix.glob("**/common")
        file, kept = common / "accounting", common / "accounting.kept"
        if file.exists():
            file.rename(kept)
        file.mkdir()
        try:
            yield
        finally:
            file.rmdir()
            if kept.exists():
                kept.rename(file)

    def client(self) -> BatchClient:
        prefix = ("sudo", "-E", "-H", "-u", USERS[0], "env", f"PATH={self.environment['PATH']}")
        return BatchClient("gridengine", LocalRunner(prefix), LocalRunner())

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        self.cluster.script("kill-master")

    def repair(self) -> None:
        self.cluster.script("start-master")


class HTCondorSite(Site):
    """A real HTCondor; each job belongs to its user."""

    name = "htcondor"
    unavailable = htcondor.unavailable()
    listing, submit = "condor_q", "condor_submit"
    short_lease = 'c.CondorSpawner.req_options = "job_lease_duration = 30"\n'
    lost_answer = "ERROR: Failed to connect to local queue manager"
    can_signal = says_why = False
    forgets = True
    config = """
import os
c.JupyterHub.spawner_class = "condor"
# sudo would look for condor_submit in its own path only.
c.CondorSpawner.exec_prefix = (
    "sudo -E -H -u {username} env PATH=" + os.environ["PATH"]
    + " CONDOR_CONFIG=" + os.environ["CONDOR_CONFIG"]
)
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = htcondor.HTCondorPool()

    def script(self, body: str) -> str:
        """Return a submit description that runs shell commands."""
        file = self.cluster.prefix / f"{uuid.uuid4().hex}.sh"
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
        return (
            f"executable = {file}\ntransfer_executable = False\nshould_transfer_files = NO\n"
            "getenv = True\nqueue\n"
        )

    def fill(self) -> None:
        self.cluster.run("condor_off", "-negotiator")

    def drain(self) -> None:
        self.cluster.run("condor_on", "-negotiator")

    def cancel(self, job_id: str) -> None:
        self.cluster.run("condor_rm", job_id)

    def requeue(self, job_id: str) -> None:
        self.cluster.run("condor_vacate_job", "-fast", job_id)

    @contextlib.contextmanager
    def without_accounting(self) -> Iterator[None]:
        # The daemons have read the file already; condor_history looks where nothing is.
        file = Path(self.environment["CONDOR_CONFIG"])
        kept = file.read_text()
        file.write_text(f"{kept}\nHISTORY = /nonexistent/history\n")
        try:
            yield
        finally:
            file.write_text(kept)

    def client(self) -> BatchClient:
        settings = [f"{name}={self.environment[name]}" for name in ("PATH", "CONDOR_CONFIG")]
        prefix = ("sudo", "-E", "-H", "-u", USERS[0], "env", *settings)
        return BatchClient("htcondor", LocalRunner(prefix), LocalRunner())

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        self.cluster.run("condor_off", "-schedd", "-fast")
        wait_for(lambda: not self._answers(), 30, "the end of the schedd")

    def repair(self) -> None:
        self.cluster.run("condor_on", "-schedd")
        wait_for(self._answers, 60, "the schedd")

    def lose_node(self, job_id: str) -> None:
        """Kill what runs jobs, with the jobs; the pool starts it again after a while."""
        self.cluster.lose_node()

    def forget(self) -> None:
        """Remove all that the queue stored; it counts its jobs from 1 again."""
        self.break_down()
        (self.cluster.prefix / "var" / "spool" / "job_queue.log").unlink()
        self.repair()

    def _answers(self) -> bool:
        try:
            self.cluster.run("condor_q")
        except AssertionError:
            return False
        return True


class OARSite(Site):
    """A real OAR; each job belongs to its user."""

    name = "oar"
    unavailable = oar.unavailable()
    quiet = ("-O", "/dev/null", "-E", "/dev/null")
    refused = ("-q", "nowhere")
    can_requeue = False
    config = """
import os
c.JupyterHub.spawner_class = "oar"
c.OarSpawner.req_runtime = "0:20:00"
# sudo would look for oarsub in its own path only.
c.OarSpawner.exec_prefix = "sudo -E -H -u {username} env PATH=" + os.environ["PATH"]
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = oar.OARCluster()

    def fill(self) -> None:
        self.cluster.run("oarnotify", "-D")

    def drain(self) -> None:
        self.cluster.run("oarnotify", "-E")

    def cancel(self, job_id: str) -> None:
        self.cluster.run("oardel", job_id)

    def client(self) -> BatchClient:
        prefix = ("sudo", "-E", "-H", "-u", USERS[0], "env", f"PATH={self.environment['PATH']}")
        return BatchClient("oar", LocalRunner(prefix), LocalRunner())

    def break_down(self) -> None:
        """Make every command of the scheduler fail."""
        self.cluster.script("stop-database")

    def repair(self) -> None:
        self.cluster.script("start-database")


SITES = {
    one.name: one
    for one in (LocalSite, SlurmSite, GridEngineSite, HTCondorSite, OARSite, Slurm24Site)
}
REAL = set(SITES) - {"local"}


def start_hub(
    site, folder: Path, more: str = "", config: str = "", account: str = "", **environment: str
) -> Hub:
    """Start a Hub for a site, with more lines of configuration, or another one, or as another."""
    folder.mkdir(parents=True, exist_ok=True)
    config = (config or site.config).replace("{folder!r}", repr(str(folder))) + more
    hub = Hub(folder, config, site.users, **{**site.environment, **environment})
    hub.account = account
    try:
        hub.start()
        hub.add_users()
    except BaseException:
        hub.stop()
        raise
    return hub


def ids(site) -> set[str]:
    """Return the ids of all jobs of a site."""
    return {job_id for job_id, _, _ in site.jobs()}


def no_jobs_left(site) -> None:
    """Wait until a site has no job."""
    wait_for(lambda: not site.jobs(), 60, "the end of all jobs")


@contextlib.contextmanager
def nothing_left(site, failed: Callable[[], bool]) -> Iterator[None]:
    """Remove the Hubs and jobs that a test leaves behind, so that the next one finds none.

    That a test leaves them is an error of its own only if it has not failed already. Hubs and
    jobs from before, which fixtures share, stay.
    """
    hubs, jobs = set(Hub.running), ids(site)
    yield
    forgotten = Hub.running - hubs
    for hub in forgotten:
        hub.stop()
    if failed():
        _restore(site)
    try:
        if not failed():
            assert not forgotten, f"the test left a Hub running; its log is {forgotten.pop().log}"
            wait_for(lambda: ids(site) <= jobs, 60, "the end of the test's jobs")
    finally:
        for job_id in ids(site) - jobs:
            # It may end at this moment.
            with contextlib.suppress(AssertionError):
                site.cancel(job_id)
        wait_for(lambda: ids(site) <= jobs, 60, "the end of the jobs that were cancelled")


def _restore(site) -> None:
    """Make a scheduler answer and run jobs, after a test that failed while it was down or full."""
    try:
        site.jobs()
    except (AssertionError, OSError, ValueError, subprocess.SubprocessError):
        site.repair()
    site.drain()
