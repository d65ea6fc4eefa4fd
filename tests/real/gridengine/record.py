"""Record the transcripts in tests/transcripts/gridengine from a real Grid Engine: run as root.

usage: python -m tests.real.gridengine.record
"""

from __future__ import annotations

import time

from batchspawner.jobs import JobRequest
from batchspawner.schedulers.gridengine.scheduler import GridEngine
from tests.real.gridengine import GridEngineCluster
from tests.real.users import USERS
from tests.recording import record

HOLD = "#!/bin/sh\nsleep 300\n"
QUIET = ("-o", "/dev/null", "-j", "y")


def record_all(cluster: GridEngineCluster) -> None:
    engine, environment = GridEngine(), cluster.environment

    def run(name, call, user=USERS[0]):
        prefix = ("sudo", "-E", "-H", "-u", user, "env", f"PATH={environment['PATH']}")
        hide = {
            str(cluster.prefix): "/opt/sge",
            USERS[0]: "alice",
            USERS[1]: "bob",
            "localhost": "node1",
        }
        return record(
            "gridengine",
            name,
            call,
            "Grid Engine 8.1.9",
            prefix=prefix,
            environment=environment,
            hide=hide,
        )

    def submit(name, script=HOLD, *arguments):
        return run(name, engine.submit(JobRequest(script, "tag-1", {}, (*QUIET, *arguments))))

    cluster.run("qconf", "-aattr", "exechost", "complex_values", "gpu=4", "localhost")
    running, held = submit("qsub", HOLD, "-l", "gpu=1"), submit("qsub_held", HOLD, "-h")
    failing, killed = submit("qsub_failing", "#!/bin/sh\nexit 3\n"), submit("qsub_killed")
    limited = submit("qsub_limited", HOLD, "-l", "h_rt=2")
    array = submit("qsub_array", HOLD, "-t", "1-3").partition(".")[0]
    broken = submit("qsub_broken", HOLD, "-wd", "/no/such/folder")
    submit("qsub_bad_queue", HOLD, "-q", "nowhere")
    time.sleep(4)
    run("qdel", engine.cancel(killed))
    time.sleep(3)
    waiting = submit("qsub_waiting", HOLD, "-hold_jid", running)
    time.sleep(2)
    wanted = [running, held, array, f"{array}.2", broken, waiting, failing]
    run("qstat", *engine.query(wanted))
    run("find", engine.find("tag-1"))
    run("queues", engine.availability())
    run("start_now", engine.expected_start(JobRequest("#!/bin/sh\n#$ -l gpu=3\n")))
    run("start_later", engine.expected_start(JobRequest("#!/bin/sh\n#$ -l gpu=4\n")))
    for name, job_id in {
        "failing": failing,
        "killed": killed,
        "limited": limited,
        "unknown": "99999",
    }.items():
        run(f"qacct_{name}", *engine.confirm(job_id))
    run("qdel_finished", engine.cancel(failing))
    run("qdel_other_user", engine.cancel(running), USERS[1])
    cluster.script("kill-master")
    run("qstat_down", *engine.query([running]))
    run("qsub_down", engine.submit(JobRequest(HOLD)))
    run("qdel_down", engine.cancel(running))
    run("queues_down", engine.availability())
    run("start_down", engine.expected_start(JobRequest(HOLD)))
    cluster.script("start-master")


if __name__ == "__main__":
    one = GridEngineCluster().start()
    try:
        record_all(one)
    finally:
        one.stop()
