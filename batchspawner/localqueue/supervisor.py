"""Run one job from its start to its end; started by the queue, not by people."""

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
    import sqlite3


class Supervisor:
    """Watch over one job: its end, its walltime, and the wish to cancel it."""

    def __init__(self, store: Store, row: sqlite3.Row) -> None:
        self.store, self.row, self.job_id = store, row, int(row["id"])
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
        """Run the job and write down how it ended."""
        with self.store.locked():
            machine = os.uname().nodename
            self.store.change(self.job_id, supervisor=os.getpid(), machine=machine)
            row = self.store.job(self.job_id)
        if row is None or row["cancelled"]:
            self._finish("CANCELLED", None)
            return
        try:
            process = self._begin()
        except OSError as error:
            reason = f"cannot start in {self.row['directory']}: {error}"
            self._finish("FAILED", 127, reason)
            return
        with self.store.locked():
            self.store.change(self.job_id, leader=process.pid, born=born(process.pid))
        self._watch(process)
        self._let_tidy_up(process.pid)
        kill_all(self.mark, process.pid)
        self._note_end(process.returncode)

    def _cancel(self, *_: object) -> None:
        if not self.ending:
            self.ending = "CANCELLED"

    def _begin(self) -> subprocess.Popen[bytes]:
        script = self.store.folder_of(self.job_id) / "script"
        script.touch(0o600)
        script.write_bytes(self.row["script"])
        environment = {
            **json.loads(self.row["environment"]),
            "BATCHSPAWNER_QUEUE_JOB_ID": str(self.job_id),
            MARK: self.mark,
        }
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        output = os.open(self.row["output"], flags, 0o600)
        try:
            return subprocess.Popen(
                [*_interpreter(self.row["script"]), str(script)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.row["directory"],
                env=environment,
                umask=self.row["umask"],
                start_new_session=True,
            )
        finally:
            os.close(output)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        walltime = self.row["walltime"]
        deadline = self.row["started"] + walltime if walltime else None
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
        self.kill_at = time.time() + self.row["grace"]
        send(self.mark, session, signal.SIGTERM)
        with self.store.locked():
            self.store.change(self.job_id, state="COMPLETING")

    def _let_tidy_up(self, session: int) -> None:
        """Let what an ended script had started end in its turn, for the rest of the grace."""
        if self.kill_at is None and processes_of(self.mark, session):
            self._terminate(session)
        while (
            self.kill_at is not None
            and time.time() < self.kill_at
            and processes_of(self.mark, session)
        ):
            time.sleep(0.05)

    def _sleep(self, now: float, deadline: float | None) -> None:
        """Wait for a signal, or for the next moment at which there is something to do."""
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
            reason = f"it reached its walltime of {self.row['walltime']} s"
        with self.store.locked():
            self.store.end(self.job_id, state, reason=reason, exit_code=exit_code, signal=number)


def _interpreter(script: bytes) -> list[str]:
    """Return what a script's first line says, so that it runs where no file may be executed.

    As in execve(2), all that follows the interpreter is one argument.
    """
    words = script.partition(b"\n")[0][2:].strip().split(None, 1)
    return [os.fsdecode(word) for word in words]


def main() -> None:
    """Run the job that the command line names, then start those that waited for its slots."""
    store = Store(Path(sys.argv[1]))
    row = store.job(int(sys.argv[2]))
    if row is not None:
        Supervisor(store, row).run()
        schedule(store)


if __name__ == "__main__":
    main()
