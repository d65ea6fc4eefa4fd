"""Record the transcripts in tests/transcripts/oar from a real OAR: run as root.

usage: python -m tests.real.oar.record
"""

from __future__ import annotations

import pwd
import re
import socket
import time

from batchspawner.jobs import JobRequest
from batchspawner.schedulers.oar.scheduler import OAR
from tests.hubs import wait_for
from tests.real.oar import OARCluster
from tests.real.users import USERS
from tests.recording import record


def script(body: str) -> str:
    return f"#!/bin/sh\n#OAR -O /dev/null\n#OAR -E /dev/null\n{body}\n"


def record_resubmitted(cluster: OARCluster, oar: OAR, run) -> None:
    """Record a job that goes on under another id, as OAR has it after an error of a node."""

    def submitted(*arguments: str) -> str:
        said = cluster.run("sudo", "-E", "-H", "-u", USERS[0], "oarsub", *arguments)
        return re.search(r"^OAR_JOB_ID=(\d+)$", said, re.MULTILINE)[1]

    def until(job_id: str, state: str) -> None:
        wait_for(
            lambda: f'"{state}"' in cluster.run("oarstat", "-J", "-j", job_id),
            60,
            f"job {job_id} in the state {state}",
        )

    first = submitted("-n", "tag-2", "-O", "/dev/null", "-E", "/dev/null", "sleep 300")
    until(first, "Running")
    cluster.run("oardel", first)
    until(first, "Error")
    second = submitted(f"--resubmit={first}")
    until(second, "Running")
    run("resubmitted", *oar.query([first]))
    run("oardel_resubmitted", oar.cancel(first))
    until(second, "Error")
    run("one_resubmitted", *oar.confirm(first))


def record_all(cluster: OARCluster) -> None:
    oar, environment = OAR(), cluster.environment

    def run(name, call, user=USERS[0]):
        home = pwd.getpwnam(user).pw_dir
        hide = {
            home: f"/home/{user}",
            USERS[0]: "alice",
            USERS[1]: "bob",
            socket.gethostname(): "headnode",
            "localhost": "node1",
        }
        prefix = ("sudo", "-E", "-H", "-u", user, "env", f"PATH={environment['PATH']}")
        return record(
            "oar",
            name,
            call,
            "OAR 2.5.9",
            prefix=prefix,
            environment={**environment, "PWD": "/"},
            hide=hide,
        )

    def submit(name, body, *arguments):
        said = run(name, oar.submit(JobRequest(script(body), "tag-1", {}, arguments)))
        return said.rpartition("=")[2]

    def ended(job_id):
        return lambda: job_id not in {one for one, _, _ in cluster.jobs()}

    run("oarstat_empty", *oar.query(["1"]))
    running, failing = submit("oarsub", "sleep 300"), submit("oarsub_failing", "exit 3")
    killed, held = submit("oarsub_killed", "kill -9 $$"), submit("oarsub_held", "sleep 1", "--hold")
    deleted = submit("oarsub_deleted", "sleep 300")
    expired = submit("oarsub_expired", "sleep 300", "-l", "walltime=0:0:3")
    waiting = submit("oarsub_waiting", "sleep 1", "-l", "core=16,walltime=1")
    run("oarsub_refused", oar.submit(JobRequest(script("true"), "tag-1", {}, ("-q", "nowhere"))))
    wait_for(lambda: cluster.run("oarstat", "-J", "-j", deleted).count('"Running"'), 30, "a job")
    run("oardel", oar.cancel(deleted))
    for job_id in (failing, killed, deleted, expired):
        wait_for(ended(job_id), 60, f"the end of job {job_id}")
    run("oarstat", *oar.query([running, held, waiting]))
    ids = {"failing": failing, "killed": killed, "deleted": deleted, "expired": expired}
    for name, job_id in {**ids, "running": running, "unknown": "99999"}.items():
        run(f"one_{name}", *oar.confirm(job_id))
    run("oardel_ended", oar.cancel(failing))
    run("oardel_other_user", oar.cancel(running), USERS[1])
    run("oardel_unknown", oar.cancel("99999"))
    cluster.run("oardel", waiting)
    wait_for(ended(waiting), 60, "an empty queue")
    record_resubmitted(cluster, oar, run)
    cluster.script("stop-server")
    run("oarsub_down", oar.submit(JobRequest(script("true"), "tag-1")))
    run("oardel_down", oar.cancel(running))
    cluster.script("stop-database")
    run("oarstat_down", *oar.query([running]))
    cluster.script("start-database")
    cluster.script("start-server")
    time.sleep(1)


if __name__ == "__main__":
    one = OARCluster().start()
    try:
        record_all(one)
    finally:
        one.stop()
