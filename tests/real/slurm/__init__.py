"""A real Slurm for tests, of this machine's packages or of newer ones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.ports import free_port, is_free
from tests.real.users import make_users, missing

HERE = Path(__file__).parent


def unavailable() -> str:
    """Return why there can be no Slurm here, or an empty text."""
    return missing("a Slurm", "slurmctld", "slurmd", "munged", "sudo")


def unavailable24() -> str:
    """Return why there can be no Slurm 24.11 here, or an empty text."""
    return missing("a Slurm 24.11", "apt-get", "dpkg-deb", "patchelf", "munged", "sudo")


BASES = range(10000, 19800, 200)


def free_base() -> int:
    """Return a first port for a cluster, clear of those of other clusters."""
    while True:
        base = free_port(BASES)
        if is_free(base + 17) and is_free(base + 101):  # slurmctld's, and the first slurmd's
            return base


class SlurmCluster:
    """A cluster in a folder of its own: nodes n1 to n3 and g1, partitions normal debug gpu low."""

    programs: Path | None = None  # None: the machine's own

    def __init__(self) -> None:
        # Short, for the sockets in it, and open to the jobs' owners.
        self.prefix = Path(tempfile.mkdtemp(prefix="bsl", dir="/tmp"))
        self.prefix.chmod(0o755)
        self.portbase = free_base()
        self.conf = self.prefix / "etc" / "slurm.conf"

    def start(self, *options: str) -> SlurmCluster:
        make_users()
        self.script("start.sh", "--portbase", str(self.portbase), *options)
        return self

    def stop(self) -> None:
        self.script("stop.sh", "--wipe")

    def script(self, name: str, *options: str) -> None:
        command = [HERE / name, "--prefix", self.prefix, *options]
        if self.programs:
            command += ["--programs", self.programs]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        if self.programs:
            path = f"{self.programs}/bin:{path}"
        return {"PATH": path, "SLURM_CONF": str(self.conf), "LANG": "C.UTF-8"}

    def run(self, *argv: str, user: str = "") -> str:
        """Run one of Slurm's commands, as a user or as root, and return what it printed."""
        path = f"PATH={self.environment['PATH']}"  # sudo has a path of its own
        whole = ("sudo", "-E", "-H", "-u", user, "env", path, *argv) if user else argv
        done = subprocess.run(
            whole, env=self.environment, cwd="/", capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return id, owner and state of each job that has not ended."""
        lines = self.run("squeue", "-h", "-a", "-o", "%i %u %T").splitlines()
        return [tuple(line.split()) for line in lines]  # type: ignore[misc]

    def controller(self, signal: str) -> None:
        """Send a signal to slurmctld."""
        pid = (self.prefix / "run" / "slurmctld.pid").read_text().strip()
        subprocess.run(["kill", f"-{signal}", pid], check=True)

    def node_of(self, job_id: str) -> str:
        """Return the node on which a job runs."""
        return self.run("squeue", "-h", "-j", job_id, "-o", "%N").strip()

    def lose(self, node: str, job_id: str) -> None:
        """Take down a node, with all processes of the job that runs on it."""
        table = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
        rows = [line.split(None, 2) for line in table.stdout.splitlines()[1:]]
        # The daemons first: they would report that the job has been killed.
        doomed = [(self.prefix / "run" / f"slurmd-{node}.pid").read_text().strip()]
        ours = f"SLURM_CONF={self.conf}\0".encode()
        for pid, parent, command in rows:  # in the order of their start
            step = command.startswith(f"slurmstepd: [{job_id}.")
            if (step and ours in Path(f"/proc/{pid}/environ").read_bytes()) or parent in doomed:
                doomed.append(pid)
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


class JoinedCluster(SlurmCluster):
    """A second cluster, in the same accounting database as a first one, which has started."""

    def __init__(self, first: SlurmCluster, name: str) -> None:
        super().__init__()
        self.programs = first.programs
        self.start_options = ("--cluster", name, "--join", str(first.prefix))

    def start(self, *options: str) -> SlurmCluster:
        return super().start(*self.start_options, *options)


class Slurm24Cluster(SlurmCluster):
    """The same cluster of Slurm 24.11, whose unpacked programs are kept between sessions."""

    programs = Path("/var/tmp/batchspawner-slurm24")

    def start(self, *options: str) -> SlurmCluster:
        if not (self.programs / "bin").exists():
            subprocess.run([HERE / "install24.sh", self.programs], check=True, timeout=600)
        return super().start(*options)
