"""A whole system for chaos: JupyterHub, its proxy, a scheduler, and what is done to them.

Each method that a step names returns nothing, and does nothing where there is nothing to do it to.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import psutil
import requests
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.history import USERS
from tests.chaos.machine import clock
from tests.chaos.parts import Parts
from tests.chaos.seen import ANSWER_S
from tests.chaos.work import NAMES
from tests.hubs import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.queues.base import Job


class System(Parts):
    """All parts, and what users and chaos do to them."""

    def __init__(self, folder: Path, kind: str, database: str) -> None:
        super().__init__(folder, kind, database)
        self.accounts = dict(zip(USERS, self.site.users))
        self.frozen: list[psutil.Process] = []
        self.faults: set[str] = set()
        """What may make the scheduler refuse a job now."""
        self.hub_may_stick = False
        """Whether the Hub's database was harmed in this round so that JupyterHub may be stuck."""
        self.asked: dict[str, int] = {}
        """Servers whose last request in this round was a start that the Hub accepted, and how long
        its log was then."""
        self.stopped: set[str] = set()
        """Servers that were stopped in this round."""
        self.served: dict[str, str] = {}
        """The job of each server that ran at the end of the last round."""

    def begin_round(self) -> None:
        self.asked, self.stopped = {}, set()
        self.hub_may_stick = False
        self.served = self.servers.ready()
        self.work.begin_round()

    def take(self, action: str, target: str) -> None:
        user, slash, name = target.partition("/")
        if slash:
            target = f"{self.accounts[user]}/{name}"
        getattr(self, action)(*([target] if target else []))

    def repair(self) -> None:
        """End what has been done to the system, so that it can become sound again."""
        self._end_faults()
        self.start_scheduler()
        self.start_hub()

    def _end_faults(self) -> None:
        self.thaw()
        self.unlock_database()
        self.start_database()
        self.truth()
        self.mend_network()
        self.free_disk()

    def close(self) -> None:
        """End everything."""
        self._end_faults()
        self.started.close()

    # What users do.

    def start(self, target: str) -> None:
        if target in NAMES:
            self.work.start(target, self.faults)
            return
        user, name = target.split("/")
        length = len(self.hub.log.read_bytes())
        status = self._ask("POST", f"users/{user}/servers/{name}")
        assert status != 404, f"the Hub knows no {user}"
        if status in (201, 202):
            self.asked[target] = length

    def stop(self, target: str) -> None:
        if target in NAMES:
            self.work.stop(target)
            return
        user, name = target.split("/")
        self.asked.pop(target, None)
        self.stopped.add(target)
        self._ask("DELETE", f"users/{user}/servers/{name}")

    def restart(self, target: str) -> None:
        self.stop(target)
        self.start(target)

    def _ask(self, method: str, path: str) -> int:
        """Return the status of the Hub's answer, 0 if there is none."""
        url, headers = (
            f"{self.hub.url}/hub/api/{path}",
            {"Authorization": f"token {self.hub.token}"},
        )
        with contextlib.suppress(requests.RequestException):
            return requests.request(method, url, headers=headers, timeout=ANSWER_S).status_code
        return 0

    # What happens to jobs.

    def kill_job(self, target: str) -> None:
        self._kill(target, self.site.processes)

    def freeze_job(self, target: str) -> None:
        if job := self._job(target):
            self._freeze(*self.site.processes(job))

    def kill_supervisor(self, target: str) -> None:
        self._kill(target, self.site.supervisor)

    def freeze_supervisor(self, target: str) -> None:
        if job := self._job(target):
            self._freeze(*self.site.supervisor(job))

    def cancel_job(self, target: str) -> None:
        if job := self._job(target):
            self.work.harm(target, job)
            with contextlib.suppress(AssertionError):
                self.site.cancel(job.id)

    def requeue_job(self, target: str) -> None:
        job = self._job(target)
        if job and self.site.can_requeue:
            # A server comes back in its job, other work is lost with it.
            if target in NAMES:
                self.work.harm(target, job)
            with contextlib.suppress(AssertionError):
                self.site.requeue(job.id)

    def _kill(self, target: str, find: Callable[[Job], list[psutil.Process]]) -> None:
        job = self._job(target)
        processes = find(job) if job else []
        if job and processes:
            self.work.harm(target, job)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _job(self, target: str) -> Job | None:
        """Return the job of a server, or the oldest one of other work."""
        with contextlib.suppress(sqlite3.Error, SQLAlchemyError, AssertionError):
            own = "" if target in NAMES else self.servers.job_ids().get(target)
            for job in self.site.live_jobs():
                if job.id == own or job.name == NAMES.get(target):
                    return job
        return None

    # What happens to the Hub, its proxy and its database.

    def kill_hub(self) -> None:
        self.hub.kill()

    def start_hub(self) -> None:
        if self.hub.process.poll() is not None:
            # Without its database, no Hub starts; a frozen proxy lets none of them do it.
            self.unlock_database()
            self.start_database()
            self.free_disk()
            self.thaw()
            self.hub.start()

    def freeze_hub(self) -> None:
        if self.hub.process.poll() is None:
            self._freeze(psutil.Process(self.hub.process.pid))

    def kill_proxy(self) -> None:
        for process in self._proxy():
            process.kill()

    def freeze_proxy(self) -> None:
        self._freeze(*self._proxy())

    def _proxy(self) -> list[psutil.Process]:
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int((self.hub.folder / "proxy.pid").read_text()))
            if any("configurable-http-proxy" in word for word in process.cmdline()):
                return [process]
        return []

    def lock_database(self) -> None:
        self._harm_database()
        self.database.lock()

    def unlock_database(self) -> None:
        self.database.unlock()

    def kill_database(self) -> None:
        self._harm_database()
        self.database.kill()

    def start_database(self) -> None:
        self.database.start()

    def restart_database(self) -> None:
        self.kill_database()
        self.start_database()

    def drop_connections(self) -> None:
        self._harm_database()
        self.database.drop_connections()

    def _harm_database(self) -> None:
        self.hub_may_stick = self.hub_may_stick or self.database.can_stick_hubs

    def _freeze(self, *processes: psutil.Process) -> None:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                self.frozen.append(process)

    def thaw(self) -> None:
        for process in self.frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self.frozen.clear()

    # What happens to the network, the clock and the disk.

    def cut_network(self) -> None:
        self.network.refuse()

    def hold_network(self) -> None:
        self.network.hold()

    def mend_network(self) -> None:
        self.network.mend()

    def set_clock_back(self) -> None:
        self._set_clock("-40m")

    def set_clock_forward(self) -> None:
        self._set_clock("+40m")

    def set_clock_right(self) -> None:
        self._set_clock("+0")

    def _set_clock(self, shift: str) -> None:
        """Start the Hub again with another clock, by which it goes from then on."""
        self.hub.environment.update(clock(shift))
        self.kill_hub()
        self.start_hub()

    def fill_disk(self) -> None:
        self._begin("full")
        self.disk.fill()

    def free_disk(self) -> None:
        self.faults.discard("full")
        self.disk.free()

    # What happens to the scheduler, and how it answers.

    def stop_scheduler(self) -> None:
        if self.site.daemons():
            self._begin("down")
            self.site.stop_daemons()

    def freeze_scheduler(self) -> None:
        if daemons := self.site.daemons():
            self._begin("down")
        self._freeze(*daemons)

    def kill_node(self, target: str) -> None:
        """Kill the daemon of the node of a job, not the job."""
        job = self._job(target)
        with contextlib.suppress(AssertionError, psutil.NoSuchProcess):
            for process in self.site.daemons(job) if job else ():
                process.kill()
                self._lose_jobs()

    def _lose_jobs(self) -> None:
        """Note that work is lost with the jobs of a node; a server comes back in its job."""
        for job in self.site.live_jobs() if self.site.jobs_end_with_node else ():
            for target, name in NAMES.items():
                if job.name == name:
                    self.work.harm(target, job)

    def start_scheduler(self) -> None:
        # A frozen daemon cannot be started, nor does it answer.
        self.thaw()
        self.site.restore()
        self.faults.discard("down")

    def nonsense(self) -> None:
        self._lie("nonsense")

    def empty(self) -> None:
        self._lie("empty")

    def half(self) -> None:
        self._lie("half")

    def lost(self) -> None:
        self._lie("lost", self.site.lost_answer)

    def slow(self) -> None:
        self._lie("slow")

    def late(self) -> None:
        self._lie("late")

    def hang(self) -> None:
        self._lie("hang")

    def _lie(self, mode: str, text: str = "") -> None:
        self._begin("lied")
        for command in self.site.commands:
            if mode == "empty" and command in self.site.silent:
                continue
            self.liars.answer(command, mode, text)

    def _begin(self, fault: str) -> None:
        self.faults.add(fault)
        self.work.excuse(fault)

    def truth(self) -> None:
        self.faults.discard("lied")
        self.liars.answer_truly()

    def stop_everything(self) -> None:
        """Stop all servers, and wait until there are no jobs."""
        for server in self.servers.models():
            user, name = server.split("/")
            path = f"users/{user}/servers/{name}"
            wait_for(
                lambda path=path: self.hub.api("DELETE", path).status_code in (202, 204, 404),
                60,
                f"the Hub to stop {server}",
            )
        wait_for(lambda: not self.servers.models(), 60, "the end of all servers")
        self.work.close()
        wait_for(lambda: not self.site.live_jobs(), 60, "the end of all jobs")
