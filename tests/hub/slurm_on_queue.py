"""A Slurm of one machine, its jobs in the embedded queue, for tests of two releases on one Hub.

`install` puts this file into a folder under the names of Slurm's commands. It understands what
batchspawner 1.x and this release ask.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")
UNKNOWN_JOB = "slurm_load_jobs error: Invalid job id specified"


class SlurmOnQueue:
    """The commands in `folder`/bin, and the queue behind them, with so many slots."""

    def __init__(self, folder: Path, slots: int = 4) -> None:
        self.bin, self.queue, self.filler = folder / "bin", folder / "queue", ""
        self.bin.mkdir(parents=True)
        text = Path(__file__).read_text(encoding="utf-8")
        for name in COMMANDS:
            (self.bin / name).write_text(f"#!{sys.executable}\n{text}")
            (self.bin / name).chmod(0o755)
        (self.bin / "slots").write_text(str(slots))
        self.slots = slots

    def jobs(self) -> dict[str, str]:
        """Return the state of each job that lives, by its id, besides the one of `fill`."""
        jobs = {job["id"]: job["state"] for job in listing(self.queue)}
        jobs.pop(self.filler, None)
        return jobs

    def fill(self) -> None:
        """Take all slots, so that the next job has to wait."""
        script = "#!/bin/sh\nsleep 3600\n"
        self.filler = queue(self.queue, "submit", f"--slots={self.slots}", script=script).strip()

    def drain(self) -> None:
        """Give the slots back."""
        if self.filler:
            self.cancel(self.filler)
            self.filler = ""

    def cancel(self, *job_ids: str) -> None:
        """End jobs, and wait until they have ended."""
        if job_ids:
            queue(self.queue, "cancel", *job_ids)
            queue(self.queue, "wait", *job_ids)


def queue(folder: Path, *argv: str, script: str = "") -> str:
    command = [sys.executable, "-m", "batchspawner.localqueue", "--state", str(folder), *argv]
    slots = folder.parent / "bin" / "slots"
    environment = {**os.environ, "BATCHSPAWNER_QUEUE_SLOTS": slots.read_text()}
    done = subprocess.run(
        command, input=script, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout


def listing(folder: Path, *more: str) -> list[dict]:
    return json.loads(queue(folder, "query", *more))["jobs"]


def fields(job: dict) -> dict[str, str]:
    """Return a job as squeue prints it: https://slurm.schedmd.com/squeue.html#OPT_format"""
    waits = job["state"] == "PENDING"
    return {
        "%i": job["id"],
        "%T": job["state"],
        "%B": "n/a" if waits else job["host"],
        "%S": "N/A" if waits else str(int(job["started"] or 0)),
        "%e": "N/A",
        "%P": "normal",
        "%r": "Resources" if waits else "None",
        "%k": job["comment"],
        "%u": "root",
        "%j": job["name"],
    }


def squeue(folder: Path, argv: list[str]) -> None:
    wanted = argv[argv.index("-j") + 1] if "-j" in argv else ""
    known = listing(folder, *(["--all"] if wanted or "-t" in argv else []))
    if wanted and wanted not in [job["id"] for job in known]:
        sys.exit(UNKNOWN_JOB)
    for job in known:
        if wanted in ("", job["id"]) and (job["ended"] is None or "-t" in argv):
            line = argv[argv.index("-o") + 1]
            for field, value in fields(job).items():
                line = line.replace(field, value)
            print(line)


def scontrol(folder: Path, argv: list[str]) -> None:
    for job in listing(folder, "--all"):
        if job["id"] == argv[-1]:
            seen = fields(job)
            print(
                f"JobId={job['id']} JobState={job['state']} Reason={seen['%r']} "
                f"BatchHost={seen['%B']} StartTime={seen['%S']} ExitCode={job['exit_code'] or 0}:0"
            )
            return
    sys.exit(UNKNOWN_JOB)


def main() -> None:
    here, verb, argv = Path(__file__).resolve().parent, Path(sys.argv[0]).name, sys.argv[1:]
    folder = here.parent / "queue"
    if verb == "sbatch":
        comment = [one for one in argv if one.startswith("--comment=")]
        print(queue(folder, "submit", *comment, script=sys.stdin.read()), end="")
    elif verb == "scancel":
        queue(folder, "cancel", argv[-1])
    else:
        {"squeue": squeue, "scontrol": scontrol}[verb](folder, argv)


if __name__ == "__main__":
    main()
