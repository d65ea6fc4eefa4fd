"""Record the transcripts in tests/transcripts/htcondor from a real HTCondor: run as root.

usage: python -m tests.real.htcondor.record
"""

from __future__ import annotations

import socket
import time

from batchspawner.jobs import JobRequest
from batchspawner.schedulers.htcondor.scheduler import HTCondor
from tests.hubs import wait_for
from tests.real.htcondor import HTCondorPool
from tests.real.users import USERS
from tests.recording import record

NAMES = ("PATH", "CONDOR_CONFIG")


def description(command: str, *more: str) -> str:
    lines = ["executable = /bin/sh", f"arguments = \"-c '{command}'\"", *more, "queue"]
    return "\n".join(lines) + "\n"


def is_held(pool: HTCondorPool, job_id: str) -> bool:
    return pool.run("condor_q", job_id, "-af", "JobStatus").strip() == "5"


def record_all(pool: HTCondorPool) -> None:
    condor, environment = HTCondor(), pool.environment

    def run(name, call, user=USERS[0]):
        settings = [f"{name}={environment[name]}" for name in NAMES]
        hide = {
            str(pool.prefix): "/var/condor",
            str(pool.programs): "/usr",
            USERS[0]: "alice",
            f"@{socket.gethostname()}": "@node1",
        }
        return record(
            "htcondor",
            name,
            call,
            "HTCondor 23.9.6",
            prefix=("sudo", "-E", "-H", "-u", user, "env", *settings),
            environment=environment,
            hide=hide,
        )

    def submit(name, command, *more):
        request = JobRequest(description(command, *more), "tag-1")
        return run(name, condor.submit(request)).partition(".")[0]

    run("condor_q_empty", *condor.query(["1"]))
    running, failing = (
        submit("submit", "sleep 300", "request_gpus = 1"),
        submit("submit_failing", "exit 3"),
    )
    removed = submit("submit_removed", "sleep 300")
    held = submit("submit_held", "sleep 300", "hold = True")
    expired = submit("submit_expired", "sleep 300", "allowed_job_duration = 2")
    waiting = submit("submit_waiting", "sleep 300", "request_cpus = 9999")
    run("submit_refused", condor.submit(JobRequest("this is no description\n", "tag-1")))
    time.sleep(4)
    run("condor_rm", condor.cancel(removed))
    time.sleep(3)
    wait_for(lambda: is_held(pool, expired), 90, "the end of a job's time")
    run("condor_q", *condor.query([running, held, waiting, failing, expired]))
    run("find", condor.find("tag-1"))
    run("slots", condor.availability())
    for name, job_id in {"failing": failing, "removed": removed, "unknown": "99999"}.items():
        run(f"history_{name}", *condor.confirm(job_id))
    run("condor_rm_held", condor.cancel(expired))
    time.sleep(3)
    run("history_expired", *condor.confirm(expired))
    run("condor_rm_ended", condor.cancel(failing))
    run("condor_rm_other_user", condor.cancel(running), USERS[1])
    pool.run("condor_off", "-schedd", "-fast")
    time.sleep(3)
    run("condor_q_down", *condor.query([running]))
    run("submit_down", condor.submit(JobRequest(description("true"))))
    run("condor_rm_down", condor.cancel(running))
    pool.run("condor_off", "-collector", "-fast")
    time.sleep(3)
    run("slots_down", condor.availability())
    pool.run("condor_on", "-schedd")
    time.sleep(5)


if __name__ == "__main__":
    one = HTCondorPool().start()
    try:
        record_all(one)
    finally:
        one.stop()
