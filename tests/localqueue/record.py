"""Record the transcripts in tests/transcripts/local from the real queue.

usage: python -m tests.localqueue.record
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from batchspawner import __version__
from batchspawner.jobs import JobRequest
from batchspawner.schedulers.local.scheduler import LocalQueue
from tests.recording import record

HOLD = "#!/bin/sh\nsleep 60\n"


def main() -> None:
    folder, queue = tempfile.mkdtemp(), LocalQueue()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "BATCHSPAWNER_QUEUE_DIR": folder,
        "BATCHSPAWNER_QUEUE_SLOTS": "1",
        "BATCHSPAWNER_QUEUE_GRACE": "0.2",
    }

    def run(name, call):
        hide = {folder: "/home/alice/queue"}
        version = f"batchspawner {__version__}"
        record("local", name, call, version, environment=environment, hide=hide)

    run("submit_failing", queue.submit(JobRequest("#!/bin/sh\nexit 3\n", "tag-1")))
    time.sleep(1)
    options = ("--name=x", "--walltime=10")
    run("submit", queue.submit(JobRequest(HOLD, "tag-2", {}, options)))
    run("info", queue.availability())
    run("submit_waiting", queue.submit(JobRequest(HOLD, "tag-3")))
    run("submit_refused", queue.submit(JobRequest("#!/bin/sh\n#QUEUE --slots=9\n", "tag-4")))
    time.sleep(0.5)
    run("query", queue.query(["1", "2", "3"])[0])
    run("confirm", queue.confirm("1")[0])
    run("confirm_unknown", queue.confirm("99")[0])
    run("find", queue.find("tag-2"))
    run("signal_waiting", queue.signal("3", 15))
    run("cancel", queue.cancel("3"))
    run("cancel_ended", queue.cancel("1"))
    run("cancel_running", queue.cancel("2"))
    time.sleep(1)
    os.chmod(folder, 0o755)
    run("query_refused", queue.query(["1"])[0])


if __name__ == "__main__":
    main()
