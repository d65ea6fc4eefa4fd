"""A scheduler of dictionaries, for tests of what stands on the scheduler layer."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace

from batchspawner.commands import Command, CommandResult
from batchspawner.errors import SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobState, TaggedJob
from batchspawner.schedulers.base import Scheduler

HIDDEN = "nothing that you may see"


@dataclass(eq=False)
class Cluster:
    """State of the fake scheduler's daemon, and how it misbehaves."""

    jobs: dict[str, JobInfo] = field(default_factory=dict)
    ended: dict[str, JobInfo] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    requests: list = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    down: bool = False
    silent_submits: int = 0
    refuse: str = ""
    delay: float = 0.0
    now: int = 0
    peak: int = 0
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def set(self, job_id: str, state: JobState, **facts) -> None:
        status = JobInfo(job_id, state, state.name, **facts)
        if state.is_final:
            self.jobs.pop(job_id, None)
            self.ended[job_id] = status
        else:
            self.jobs[job_id] = status

    def run(self, job_id: str, host: str = "node1") -> None:
        self.set(job_id, JobState.RUNNING, host=host, start=1.0)

    async def handle(self, verb: str, argument: str, script: str, environment) -> CommandResult:
        self.commands.append(verb)
        self.now += 1
        self.peak = max(self.peak, self.now)
        await asyncio.sleep(self.delay)
        self.now -= 1
        argv = ("fake", verb, argument)
        if self.down:
            return CommandResult(argv, 1, "", "cannot connect")
        if verb == "submit":
            return self._submit(argv, argument, script, environment)
        if verb == "cancel" and argument in self.jobs:
            self.set(argument, JobState.CANCELLED)
        return CommandResult(argv, 0)

    def _submit(self, argv, tag, script, environment) -> CommandResult:
        if self.refuse:
            return CommandResult(argv, 1, "", self.refuse)
        job_id = str(next(self.numbers))
        self.requests.append((script, environment))
        self.set(job_id, JobState.PENDING)
        self.tags[tag] = job_id
        if self.silent_submits:
            self.silent_submits -= 1
            return CommandResult(argv, 124, "", "timeout")
        return CommandResult(argv, 0, job_id)


@dataclass(frozen=True)
class FakeScheduler(Scheduler):
    name = "fake"
    title = "Fake"
    minimum_interval = 0.01
    state_delay_s = 0.0

    cluster: Cluster = field(default_factory=Cluster)

    def submit(self, request):
        def parse(result):
            if result.returncode == 124:
                raise SchedulerUnavailable("no answer", result)
            self._check(result, SubmitError)
            return result.stdout

        return Command(("submit", request.tag), parse, request.script, request.environment)

    def query(self, job_ids):
        return [Command(("query", ""), lambda result: self._listing(result))]

    def confirm(self, job_id):
        def parse(result):
            self._check(result)
            if result.stdout == HIDDEN:
                return None
            return self.cluster.jobs.get(job_id) or self.cluster.ended.get(job_id)

        return [Command(("confirm", job_id), parse)]

    def find(self, tag):
        def parse(result):
            self._check(result)
            return [self.cluster.tags[tag]] if tag in self.cluster.tags else []

        return Command(("find", tag), parse)

    def tagged(self):
        def parse(result):
            self._check(result)
            tags = {job_id: tag for tag, job_id in self.cluster.tags.items()}
            return [
                TaggedJob(job_id, "", f"x|{tags.get(job_id, '')}") for job_id in self.cluster.jobs
            ]

        return Command(("tagged", ""), parse)

    def cancel(self, job_id):
        return Command(("cancel", job_id), self._check)

    def signal(self, job_id, number):
        return Command(("signal", job_id), self._check)

    def _listing(self, result):
        self._check(result)
        if result.stdout == HIDDEN:
            return {}
        return {job_id: replace(status) for job_id, status in self.cluster.jobs.items()}

    @staticmethod
    def _check(result, error=SchedulerUnavailable):
        if not result.ok:
            if "connect" in result.stderr:
                error = SchedulerUnavailable
            raise error("it failed", result)


@dataclass(frozen=True)
class FakeRunner:
    """A runner that passes a command to the fake cluster instead of starting a process."""

    cluster: Cluster
    sees: bool = True
    is_this_user = True

    async def run(self, argv, *, input="", environment=None, timeout=30.0):  # noqa: A002
        verb, argument = argv
        result = await self.cluster.handle(verb, argument, input, environment)
        if not self.sees and verb in ("query", "confirm"):
            return replace(result, stdout=HIDDEN)
        return result


def fake() -> tuple[Cluster, FakeScheduler, FakeRunner]:
    """Return a cluster with the scheduler and the runner that reach it."""
    cluster = Cluster()
    return cluster, FakeScheduler(cluster), FakeRunner(cluster)
