"""The program that runs one job from its start to its end; the queue starts it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import MARK, born, kill_all, mark_of, processes_of, send
from .scheduling import schedule
from .store import Store

if TYPE_CHECKING:
    from .store import QueuedJob


class Supervisor:
    """The parent of one job's script: it enforces the walltime, and cancels the job on SIGTERM."""

    def __init__(self, store: Store, job: QueuedJob) -> None:
        self.store, self.job, self.job_id = store, job, job.id
        self.mark = mark_of(store.folder, self.job_id)
        self.ending = ""
        self.kill_at: float | None = None
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._cancel)
        # A handler, because a signal that is ignored would be so in the job, too.
        signal.signal(signal.SIGHUP, lambda *_: None)
        # A shell that put the submitter in the background ignores these for it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)

    def run(self) -> None:
        """Run the job and record how it ended."""
        with self.store.locked():
            machine = os.uname().nodename
            self.store.change(self.job_id, supervisor=os.getpid(), machine=machine)
            job = self.store.job(self.job_id)
        if job is None or job.cancelled:
            self._finish("CANCELLED", None)
            return
        try:
            process = self._start()
        except OSError as error:
            reason = f"cannot start in {self.job.directory}: {error}"
            self._finish("FAILED", 127, reason)
            return
        with self.store.locked():
            self.store.change(self.job_id, leader=process.pid, born=born(process.pid))
        self._watch(process)
        self._wait_for_cleanup(process.pid)
        kill_all(self.mark, process.pid)
        self._note_end(process.returncode)

    def _cancel(self, *_: object) -> None:
        if not self.ending:
            self.ending = "CANCELLED"

    def _start(self) -> subprocess.Popen[bytes]:
        script = self.store.folder_of(self.job_id) / "script"
        script.touch(0o600)
        script.write_bytes(self.job.script)
        environment = {
            **json.loads(self.job.environment),
            "BATCHSPAWNER_QUEUE_JOB_ID": str(self.job_id),
            MARK: self.mark,
        }
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        output = os.open(self.job.output, flags, 0o600)
        try:
            return subprocess.Popen(
                [*_interpreter(self.job.script), str(script)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.job.directory,
                env=environment,
                umask=self.job.umask,
                start_new_session=True,
            )
        finally:
            os.close(output)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        deadline = self.job.deadline
        while process.poll() is None:
            now = time.time()
            if deadline and now >= deadline and not self.ending:
                self.ending = "TIMEOUT"
            if self.ending and self.kill_at is None:
                self._terminate(process.pid)
            if self.kill_at is not None and now >= self.kill_at:
                kill_all(self.mark, process.pid)
            self._sleep(now, deadline)

    def _terminate(self, session: int) -> None:
        self.kill_at = time.time() + self.job.grace
        send(self.mark, session, signal.SIGTERM)
        with self.store.locked():
            self.store.change(self.job_id, state="COMPLETING")

    def _wait_for_cleanup(self, session: int) -> None:
        """Terminate what an ended script has left running, and wait until the grace is over."""
        if self.kill_at is None and processes_of(self.mark, session):
            self._terminate(session)
        while (
            self.kill_at is not None
            and time.time() < self.kill_at
            and processes_of(self.mark, session)
        ):
            time.sleep(0.05)

    def _sleep(self, now: float, deadline: float | None) -> None:
        """Wait for a signal, or until there is something to do."""
        due = self.kill_at if self.kill_at is not None else deadline
        timeout = None if due is None else max(due - now, 0.01)
        if select.select([self._woken], [], [], timeout)[0]:
            os.read(self._woken, 1024)

    def _note_end(self, code: int) -> None:
        if self.ending:
            self._finish(self.ending, code)
        else:
            self._finish("FAILED" if code else "COMPLETED", code)

    def _finish(self, state: str, code: int | None, reason: str = "") -> None:
        number = -code if code is not None and code < 0 else None
        exit_code = code if number is None else None
        if state == "TIMEOUT":
            reason = f"it reached its walltime of {self.job.walltime} s"
        with self.store.locked():
            self.store.end(self.job_id, state, reason=reason, exit_code=exit_code, signal=number)


def _interpreter(script: bytes) -> list[str]:
    """Return the interpreter of a script, which runs even if no file there may be executed.

    As in execve(2), all that follows the interpreter is one argument.
    """
    words = script.partition(b"\n")[0][2:].strip().split(None, 1)
    return [os.fsdecode(word) for word in words]


def main() -> None:
    """Run the job that the command line names, then start the jobs that waited for its slots."""
    store = Store(Path(sys.argv[1]))
    job = store.job(int(sys.argv[2]))
    if job is not None:
        Supervisor(store, job).run()
        schedule(store)


if __name__ == "__main__":
    main()
