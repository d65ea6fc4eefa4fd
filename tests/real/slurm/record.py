"""Record the transcripts in tests/transcripts/slurm from a real Slurm: run as root.

usage: python -m tests.real.slurm.record [24.11]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from batchspawner.jobs import JobRequest
from batchspawner.schedulers.slurm.scheduler import Slurm
from tests.real.slurm import JoinedCluster, Slurm24Cluster, SlurmCluster
from tests.real.users import USERS
from tests.recording import record

if TYPE_CHECKING:
    from collections.abc import Mapping

GENERATIONS = {"": SlurmCluster, "24.11": Slurm24Cluster}
HOLD = "#!/bin/sh\nsleep 300\n"


class Recorder:
    def __init__(self, cluster: SlurmCluster, folder: str) -> None:
        self.cluster = cluster
        self.folder = folder
        self.version = cluster.run("sbatch", "--version").strip()
        self.hidden = {str(cluster.prefix): "/var/slurm", USERS[0]: "alice"}
        self.hide_ids(cluster)

    def hide_ids(self, cluster: SlurmCluster) -> None:
        """Write the ids of a cluster's jobs, which begin with its port, as 1, 2, 3."""
        self.hidden |= {str(cluster.portbase * 100 + n): str(n + 1) for n in range(40)}

    def run(
        self, name: str, call, user: str = USERS[0], more: Mapping[str, str] | None = None
    ) -> str:
        """Run a call as a user, write its transcript, and return what it printed."""
        environment = {**self.cluster.environment, **(more or {})}
        prefix = ("sudo", "-E", "-H", "-u", user, "env", f"PATH={environment['PATH']}")
        return record(
            self.folder,
            name,
            call,
            self.version,
            prefix=prefix,
            environment=environment,
            hide=self.hidden,
        )

    def until(self, job_id: str, *states: str) -> None:
        for _ in range(400):
            said = self.cluster.run("scontrol", "-o", "show", "job", job_id)
            if any(f"JobState={state} " in said for state in states):
                return
            time.sleep(0.1)
        raise AssertionError(f"job {job_id} is not {states}: {said}")


def record_jobs(recorder: Recorder, slurm: Slurm) -> None:
    run, cluster = recorder.run, recorder.cluster

    def submit(name: str, script: str = HOLD, *arguments: str) -> str:
        request = JobRequest(script, "bs-1234", {}, ("-o", "/dev/null", *arguments))
        return run(name, slurm.submit(request))

    running = submit("sbatch")
    held = submit("sbatch_held", HOLD, "-H")
    array = submit("sbatch_array", HOLD, "--array=1-5%2")
    failed = submit("sbatch_failing", "#!/bin/sh\nexit 7\n")
    cancelled = submit("sbatch_cancelled")
    submit("sbatch_bad_partition", HOLD, "-p", "nowhere")
    submit("sbatch_too_big", HOLD, "--mem=999999999")
    recorder.until(running, "RUNNING")
    recorder.until(cancelled, "RUNNING")
    recorder.until(failed, "FAILED")
    run("scancel", slurm.cancel(cancelled))
    recorder.until(cancelled, "CANCELLED")
    wanted = [running, held, f"{array}_1", f"{array}_4", failed, cancelled, "99999"]
    run("squeue", *slurm.query(wanted))
    run("find", slurm.find("bs-1234"))
    for name, job_id in {
        "running": running,
        "held": held,
        "task": f"{array}_4",
        "failed": failed,
        "cancelled": cancelled,
        "unknown": "99999",
    }.items():
        scontrol, sacct = slurm.confirm(job_id)
        run(f"scontrol_{name}", scontrol)
    run("sacct_disabled", sacct)
    run("scancel_finished", slurm.cancel(failed))
    run("scancel_unknown", slurm.cancel("99999"))
    run("scancel_other_user", slurm.cancel(running), USERS[1])
    run("signal", slurm.signal(running, 15))
    recorder.until(submit("sbatch_gpu", HOLD, "-p", "gpu", "--gpus=a100:1"), "RUNNING")
    time.sleep(3)  # sinfo sees GRES in use a moment later
    run("sinfo", slurm.availability())
    for name, line in {
        "start_now": "",
        "start_later": "#SBATCH -p gpu --gpus=a100:1\n",
        "start_never": "#SBATCH --mem=999999999\n",
    }.items():
        run(name, slurm.expected_start(JobRequest(f"#!/bin/sh\n{line}")))
    run("accounts_disabled", slurm.accounts())
    run("reservations_none", slurm.reservations())
    cluster.run(
        "scontrol",
        "create",
        "reservation",
        "reservationname=course",
        "starttime=now",
        "duration=60",
        "nodes=n3",
        f"users={USERS[0]},root",
    )
    run("reservations", slurm.reservations())
    cluster.run("scancel", running, held, array)
    cluster.controller("KILL")
    for name, call in {
        "squeue_down": slurm.query([running])[0],
        "sbatch_down": slurm.submit(JobRequest(HOLD)),
        "scancel_down": slurm.cancel(running),
        "scontrol_down": slurm.confirm(running)[0],
        "sinfo_down": slurm.availability(),
        "start_down": slurm.expected_start(JobRequest(HOLD)),
        "reservations_down": slurm.reservations(),
    }.items():
        run(name, call)


def record_accounting(recorder: Recorder, slurm: Slurm) -> None:
    recorder.run("accounts", slurm.accounts())
    ids = {}
    for name, script in {"failed": "#!/bin/sh\nexit 7\n", "done": "#!/bin/sh\ntrue\n"}.items():
        request = JobRequest(script, "", {}, ("-o", "/dev/null"))
        ids[name] = recorder.run(f"sbatch_dbd_{name}", slurm.submit(request))
        recorder.until(ids[name], "FAILED", "COMPLETED")
    ids["cancelled"] = recorder.run(
        "sbatch_dbd_cancelled", slurm.submit(JobRequest(HOLD, "", {}, ("-o", "/dev/null")))
    )
    recorder.until(ids["cancelled"], "RUNNING")
    recorder.run("scancel_dbd", slurm.cancel(ids["cancelled"]))
    recorder.until(ids["cancelled"], "CANCELLED")
    time.sleep(6)
    for name, job_id in {**ids, "unknown": "99999"}.items():
        recorder.run(f"sacct_{name}", slurm.confirm(job_id)[1])


def record_memory(recorder: Recorder, slurm: Slurm) -> None:
    request = JobRequest("#!/bin/sh\nsrun tail /dev/zero\n", "", {}, ("-o", "/dev/null"))
    job_id = recorder.run("sbatch_hungry", slurm.submit(request))
    recorder.until(job_id, "FAILED")
    time.sleep(6)
    scontrol, sacct = slurm.confirm(job_id)
    recorder.run("scontrol_hungry", scontrol)
    recorder.run("sacct_hungry", sacct)


def record_others(recorder: Recorder, slurm: Slurm) -> None:
    """Record a heterogeneous job, the order of waiting jobs, a frozen controller, two clusters."""
    run, cluster = recorder.run, recorder.cluster
    het = "#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n1 -p gpu\nsleep 300\n"
    parts = run("sbatch_het", slurm.submit(JobRequest(het, "bs-1234", {}, ("-o", "/dev/null"))))
    recorder.until(parts, "RUNNING")
    run("squeue_het", *slurm.query([parts, f"{parts}+1"]))
    run("scontrol_het", slurm.confirm(parts)[0])
    run("find_het", slurm.find("bs-1234"))
    cluster.run("scancel", parts)

    def hold(*arguments: str) -> str:
        argv = ("sbatch", "--parsable", "-D/", "-o/dev/null", *arguments, "--wrap=sleep 300")
        return cluster.run(*argv, user=USERS[0]).strip()

    first = hold("-N3", "--exclusive")
    recorder.until(first, "RUNNING")
    hold("-N3", "--exclusive")
    hold("--array=1-5%2")
    hold("-p", "debug")
    hold("-H")
    hold(f"--dependency=afterok:{first}")
    hold()
    time.sleep(3)  # until each has its reason
    run("waiting", slurm.ahead())
    pid = int((cluster.prefix / "run" / "slurmctld.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        run("squeue_frozen", *slurm.query([first]))
    finally:
        os.kill(pid, signal.SIGCONT)
    cluster.run("scancel", "-u", USERS[0])
    record_clusters(recorder, slurm)


def record_clusters(recorder: Recorder, slurm: Slurm) -> None:
    run, other = recorder.run, JoinedCluster(recorder.cluster, "two")
    recorder.hide_ids(other)
    both = {"SLURM_CLUSTERS": "testcluster,two"}
    elsewhere = slurm.submit(JobRequest(HOLD, "bs-two", {}, ("-M", "two", "-o", "/dev/null")))
    try:
        other.start()
        run("sbatch_here", slurm.submit(JobRequest(HOLD, "bs-one", {}, ("-o", "/dev/null"))))
        job_id = run("sbatch_cluster", elsewhere)
        run("find_two_clusters", slurm.find("bs-two"), more=both)
        run("tagged_two_clusters", slurm.tagged(), more=both)
        run("find_elsewhere", slurm.find_elsewhere("bs-two"))
        other.controller("KILL")
        for name, call in {
            "sbatch": elsewhere,
            "squeue": slurm.query([job_id])[0],
            "scontrol": slurm.confirm(job_id)[0],
            "scancel": slurm.cancel(job_id),
            "signal": slurm.signal(job_id, 15),
        }.items():
            run(f"{name}_unreachable", call)
    finally:
        other.stop()


def main(generation: str = "") -> None:
    os.umask(0o022)
    kind, folder = GENERATIONS[generation], f"slurm/{generation}"
    works = [(record_jobs, ()), (record_accounting, ("--acct", "dbd"))]
    if not generation:  # the unpacked one knows no control groups
        works.append((record_memory, ("--acct", "dbd", "--hold-memory")))
        works.append((record_others, ("--acct", "dbd")))
    for work, options in works:
        cluster = kind()
        try:
            work(Recorder(cluster.start(*options), folder), Slurm())
        finally:
            cluster.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
