"""Calls of functions and a kernel in jobs: what a user asks of them, and what must hold of them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from tests.chaos.program import CALLS, FUNCTION, KERNEL
from tests.hubs import BUSY_FACTOR

if TYPE_CHECKING:
    from tests.chaos.queues.base import Job, Queue

ANSWER_S = 30.0 * BUSY_FACTOR
DURATIONS_S = (0.0, 0.3, 2.0)
NAMES = {"calls": CALLS, "function": FUNCTION, "kernel": KERNEL}
"""The names of the jobs of each target of a step."""

REFUSALS = ("SubmitError", "SchedulerUnavailable", "ParseError", "OSError")
"""Ends of what was never a job: the disk is full, or the scheduler is down or lies."""

NAMED_JOB = re.compile(r"\bjob (\d+)", re.IGNORECASE)


class Call(NamedTuple):
    """One call, and what may have ended it otherwise than with its value."""

    target: str
    excuses: set[str]


class Work:
    """The program of one user, and what has been done to its jobs."""

    def __init__(self, site: Queue, folder: Path, calls: Path, path: str, log: Path) -> None:
        self.folder, self.calls_folder, self.log = folder, calls, log
        home, identity = {}, {}
        if site.account:
            entry = pwd.getpwnam(site.account)
            home = {"HOME": entry.pw_dir}
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for one in (folder, calls):
            one.mkdir(mode=0o700)
            if site.account:
                shutil.chown(one, site.account)
        program = str(Path(__file__).with_name("program.py"))
        what = (site.name, json.dumps(site.resources))
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, program, str(folder), *what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={
                    **os.environ,
                    **site.environment,
                    "PATH": path,
                    "BATCHSPAWNER_SCHEDULER": site.name,
                    "BATCHSPAWNER_CALL_DIR": str(calls),
                    **home,
                },
                cwd=folder,
                **identity,
            )
        self.answers: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.calls: dict[int, Call] = {}
        self.killed: set[str] = set()
        """The numbers of all jobs that were killed or cancelled, of servers, too."""
        self.kernel_wanted = False
        self.kernel_excuses: set[str] = set()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)

    def ask(self, order: str, **arguments: object):
        """Give an order to the program, and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self.process.stdin.flush()
        try:
            return json.loads(self.answers.get(timeout=ANSWER_S))
        except Empty:
            raise AssertionError(f"the program does not answer; its log is {self.log}") from None

    def begin_round(self) -> None:
        """Forget what has been done to a kernel that has stood it."""
        if self.kernel_job():
            self.kernel_excuses.clear()

    # What the user does.

    def start(self, target: str, excuses: set[str]) -> None:
        if target == "kernel":
            if not self.kernel_wanted:
                self.kernel_excuses = set()
            self.kernel_wanted = True
            self.kernel_excuses |= excuses
            self.ask("start")
            return
        for _ in range(len(DURATIONS_S) if target == "calls" else 1):
            number = len(self.calls) + 1
            self.calls[number] = Call(target, set(excuses))
            duration = DURATIONS_S[number % len(DURATIONS_S)]
            self.ask("begin", name=NAMES[target], number=number, seconds=duration)

    def stop(self, target: str) -> None:
        if target == "kernel":
            self.kernel_wanted = False
            self.ask("stop")
            return
        for number, call in self.calls.items():
            if call.target == target:
                call.excuses.add("cancelled")
                self.ask("cancel", number=number)

    def harm(self, target: str, job: Job) -> None:
        """Note that a job is killed, of a server or of other work."""
        self.killed.add(_number(job.id))
        for call in self.calls.values():
            if call.target == target:
                call.excuses.add("killed")

    def excuse(self, fault: str) -> None:
        """Note what may make the scheduler refuse jobs, and end what is not done."""
        self.kernel_excuses.add(fault)
        for call in self.calls.values():
            call.excuses.add(fault)

    def close(self) -> None:
        """End the kernel, wait for all calls, and end the program."""
        self.ask("close")
        self.process.stdin.close()
        self.process.wait(ANSWER_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    # What must hold.

    def violations(self, jobs: list[Job], *, room: bool) -> list[str]:
        """Return what is wrong, if nothing is done to the system any more; there are these jobs."""
        seen = self.ask("look")
        broken = []
        for number, call in self.calls.items():
            problem = self._wrong_with_call(number, call, *seen["calls"][str(number)])
            waits = any(job.name == NAMES[call.target] and job.state == "PENDING" for job in jobs)
            if problem == "open" and waits and not room:
                continue
            broken += [f"call {number} of {call.target}: {problem}"] if problem else []
        for target, name in (("calls", CALLS), ("function", FUNCTION)):
            goes_on = any(
                call.target == target and seen["calls"][str(number)][0] == "open"
                for number, call in self.calls.items()
            )
            left = [job.id for job in jobs if job.name == name and not goes_on]
            broken += [
                f"job {one} of {target} is left, although all calls are done" for one in left
            ]
        own = [job for job in jobs if job.name == KERNEL]
        problem = self._wrong_with_kernel(own, room=room, **seen["kernel"])
        return [*broken, *([f"the kernel: {problem}"] if problem else [])]

    def _wrong_with_call(self, number: int, call: Call, kind: str, text: str) -> str:
        """Return what is wrong with how a call has ended; "open" if it has not."""
        ledger = self.folder / "ledger"
        done = ledger.read_text().split().count(str(number)) if ledger.exists() else 0
        if kind == "open":
            return kind
        if done > 1 and not call.excuses & {"killed"}:
            return f"it was done {done} times"
        if kind == "value":
            if text != str(number * number) or not done:
                return f"its value is {text}, and it was done {done} times"
            return ""
        if kind in ("cancelled", "JobCancelled") and "cancelled" in call.excuses:
            return ""
        if kind in REFUSALS and not done and self._explains(call.excuses, f"{kind}: {text}"):
            return ""
        if self._names_killed_job(call.excuses, text):
            return ""
        return f"{kind}: {text}"

    def _names_killed_job(self, excuses: set[str], error: str) -> bool:
        """Return whether an error names a job that was killed, or that had no space left."""
        named = set(NAMED_JOB.findall(error))
        return bool(named & self.killed or (named and "full" in excuses))

    def _explains(self, excuses: set[str], error: str) -> bool:
        """Return whether an error says why there is no job, and that may be so."""
        kind, _, text = error.partition(": ")
        if kind == "OSError":
            # What is full has to be named.
            return "full" in excuses and "No space left" in text and str(self.calls_folder) in text
        return bool(excuses & {"lied", "full", "down"}) and kind in REFUSALS

    def _wrong_with_kernel(self, jobs: list[Job], *, room: bool, state: str, said: str = "") -> str:
        ids = [job.id for job in jobs]
        if state == "changing":
            return "it is being started or stopped"
        if state == "alive":
            if len(jobs) != 1:
                return f"it is alive, and its jobs are {ids}"
            if jobs[0].state == "PENDING":
                return "it does not start" if room else ""
            return "" if said == ids[0] else f"in job {ids[0]} it answers {said!r}"
        if jobs:
            return f"it is {state}, and its jobs are {ids}"
        if state == "none" or not self.kernel_wanted:
            return "there is none" if self.kernel_wanted else ""
        if state == "failed" and self._explains(self.kernel_excuses, said):
            return ""
        if self._names_killed_job(self.kernel_excuses, said):
            return ""
        return f"it is {state}, which nobody has brought about: {said!r}"

    def kernel_job(self) -> str:
        """Return the job of the kernel if it answers, or an empty text."""
        seen = self.ask("look")["kernel"]
        return seen.get("said", "") if seen["state"] == "alive" else ""


def _number(job_id: str) -> str:
    """Return the id of a job without that of an element of an array."""
    return re.split(r"[._]", job_id, maxsplit=1)[0]
