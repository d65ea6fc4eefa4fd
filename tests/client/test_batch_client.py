from __future__ import annotations

import asyncio
import getpass
import json
import threading
from dataclasses import replace

import pytest

from batchspawner.client import batch_client as client_module
from batchspawner.client import blocking_client
from batchspawner.client.batch_client import BatchClient
from batchspawner.client.blocking_client import BlockingClient
from batchspawner.commands import CommandResult
from batchspawner.concurrency import within
from batchspawner.errors import SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest, JobState
from tests.fakes import FakeRunner, FakeScheduler, fake

REQUEST = JobRequest("#!/bin/sh\n", "tag-1", {"A": "b"})


@pytest.fixture
def quick_searches(monkeypatch):
    monkeypatch.setattr(client_module, "_SEARCH_DELAYS_S", (0.0, 0.0))


async def test_a_job_is_submitted_watched_and_cancelled():
    cluster, scheduler, runner = fake()
    client = BatchClient(scheduler, runner)
    job_id = await client.submit(REQUEST)
    assert cluster.requests[0][0] == REQUEST.script
    assert cluster.requests[0][1]["A"] == "b"
    assert (await client.status(job_id)).state is JobState.PENDING
    cluster.run(job_id)
    await client.cancel(job_id)
    assert (await within(5, client.wait(job_id, 0.01))).state is JobState.CANCELLED


async def test_a_short_job_is_queried_often_and_a_long_one_seldom(
    monkeypatch,
):
    monkeypatch.setattr(client_module, "_FIRST_WAIT_INTERVAL_S", 0.01)
    monkeypatch.setattr(client_module, "_QUERIES_UNTIL_SLOWER", 2)
    cluster, scheduler, runner = fake()
    cluster.run("1")
    client = BatchClient(scheduler, runner)
    monitor = client_module.shared_monitor(scheduler, runner)
    waiting = asyncio.ensure_future(client.wait("1"))
    intervals = []
    while sum(intervals) < 0.3:
        await asyncio.sleep(0.001)
        (watch,) = monitor.watches()
        if watch.interval not in intervals:
            intervals.append(watch.interval)
    assert intervals == [0.01, 0.02, 0.04, 0.08, 0.16]
    await client.cancel("1")
    assert (await within(5, waiting)).state is JobState.CANCELLED
    assert monitor.watched == 0


async def test_a_submit_whose_answer_was_lost_is_found_and_not_repeated(quick_searches):
    cluster, scheduler, runner = fake()
    cluster.silent_submits = 1
    assert await BatchClient(scheduler, runner).submit(REQUEST) == "1"
    assert cluster.commands.count("submit") == 1


async def test_a_submit_that_never_arrived_is_no_job(quick_searches):
    cluster, scheduler, runner = fake()
    cluster.down = True
    with pytest.raises(SchedulerUnavailable):
        await BatchClient(scheduler, runner).submit(REQUEST)
    assert cluster.jobs == {}


async def test_a_refused_job_says_what_the_scheduler_said():
    cluster, scheduler, runner = fake()
    cluster.refuse = "no such queue"
    with pytest.raises(SubmitError, match="no such queue"):
        await BatchClient(scheduler, runner).submit(REQUEST)


class Accepts:
    """A runner whose submit accepts the job, and prints something else than its id."""

    def __init__(self, code, stdout="", stderr=""):
        self.answer, self.commands = (code, stdout, stderr), []

    is_this_user = True

    async def run(self, argv, **_):
        self.commands.append(argv[0])
        if argv[0] == "qsub":
            return CommandResult(tuple(argv), *self.answer)
        owner = f"{getpass.getuser()}@head"
        jobs = {"7.head": {"Job_Name": "tag-1", "job_state": "Q", "Job_Owner": owner}}
        return CommandResult(tuple(argv), 0, json.dumps({"Jobs": jobs}))


@pytest.mark.parametrize(
    "error",
    [
        "qsub: Connection timed out",
        "qsub: Premature end of message",
        "qsub: Invalid credential",
        "Unspecified error",
        "Message receive failure",
        "Connection reset by peer",
        "Transport endpoint is not connected",
        "slurm backup controller in standby mode",
    ],
)
async def test_a_job_is_looked_for_after_a_failure_that_is_no_refusal(quick_searches, error):
    runner = Accepts(1, "", error)
    assert await BatchClient("pbspro", runner).submit(REQUEST) == "7.head"
    assert runner.commands == ["qsub", "qstat"]


async def test_a_clear_refusal_is_told_at_once():
    runner = Accepts(170, "", "qsub: Unknown queue")
    with pytest.raises(SubmitError, match="Unknown queue"):
        await BatchClient("pbspro", runner).submit(REQUEST)
    assert runner.commands == ["qsub"]


@pytest.mark.parametrize("printed", ["Thank you for computing.", "12.a\n13.a\n", ""])
async def test_a_job_whose_id_cannot_be_read_is_found_by_its_tag(quick_searches, printed):
    runner = Accepts(0, printed)
    assert await BatchClient("pbspro", runner).submit(REQUEST) == "7.head"


async def test_clients_of_one_scheduler_share_its_queries():
    cluster, scheduler, runner = fake()
    cluster.run("1")
    cluster.run("2")
    clients = [BatchClient(scheduler, runner) for _ in range(2)]
    await asyncio.gather(clients[0].status("1"), clients[1].status("2"))
    assert cluster.commands == ["query"]


def test_code_that_cannot_await_does_the_same():
    cluster, scheduler, runner = fake()
    client = BlockingClient(scheduler, runner)
    job_id = client.submit(REQUEST)
    assert client.find("tag-1") == [job_id]
    cluster.run(job_id)
    client.signal(job_id, 15)
    client.cancel(job_id)
    assert client.wait(job_id, 0.01).state is JobState.CANCELLED


def test_a_wait_for_the_thread_in_which_it_runs_is_an_error():
    async def wait_for_itself():
        return blocking_client.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="do it in another thread"):
        blocking_client.run(wait_for_itself())


def test_an_interrupt_waits_until_what_it_cancels_has_cleaned_up(monkeypatch):
    begun, cleaned, start = threading.Event(), [], blocking_client.start

    async def work():
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.1)
            cleaned.append("up")

    def result():
        begun.wait(10)
        raise KeyboardInterrupt

    def started(coroutine):
        future = start(coroutine)
        future.result = result
        return future

    monkeypatch.setattr(blocking_client, "start", started)
    with pytest.raises(KeyboardInterrupt):
        blocking_client.run(work())
    assert cleaned == ["up"]


async def test_the_blocking_client_works_inside_a_running_loop():
    cluster, scheduler, runner = fake()
    cluster.run("1")
    assert BlockingClient(scheduler, runner).status("1").state is JobState.RUNNING


def test_an_unknown_scheduler_names_those_that_there_are():
    with pytest.raises(LookupError, match=r"known are .*local.*slurm"):
        BatchClient("sulrm")


async def test_a_private_file_is_read_by_its_owner_only(tmp_path):
    client = BatchClient("local")
    folder = tmp_path / "folder"
    for text in ("first", "it's $2nd\n"):
        await client.leave(str(folder), "a name", text)
    (file,) = folder.iterdir()
    assert (file.name, file.read_text()) == ("a name", "it's $2nd\n")
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, file)] == ["0o700", "0o600"]


async def test_a_private_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SchedulerError, match="The file could not be written") as caught:
        await BatchClient("local").leave(str(tmp_path / "file"), "name", "a-secret")
    assert "a-secret" not in str(caught.value)


async def test_users_own_settings_go_with_their_submits_and_not_with_those_of_others(monkeypatch):
    class Usual(FakeScheduler):
        def usual_options(self, environment, request):
            return (f"--account={environment['FAKE_ACCOUNT']}",)

        def submit(self, request):
            told.append(request.arguments)
            return super().submit(request)

    told = []
    monkeypatch.setenv("FAKE_ACCOUNT", "physics")
    cluster, _, runner = fake()
    await BatchClient(Usual(cluster), runner).submit(replace(REQUEST, arguments=("-q", "x")))
    monkeypatch.setattr(FakeRunner, "is_this_user", False)
    await BatchClient(Usual(cluster), runner).submit(REQUEST)
    assert told == [("--account=physics", "-q", "x"), ()]


def _pbs(*jobs: tuple[str, str]) -> str:
    return json.dumps(
        {"Jobs": {i: {"Job_Name": "tag-1", "Job_Owner": f"{owner}@login"} for i, owner in jobs}}
    )


def _torque(*jobs: tuple[str, str]) -> str:
    return "<Data>{}</Data>".format(
        "".join(
            f"<Job><Job_Id>{i}</Job_Id><Job_Name>tag-1</Job_Name><job_state>Q</job_state>"
            f"<Job_Owner>{owner}@login</Job_Owner></Job>"
            for i, owner in jobs
        )
    )


def _moab(*jobs: tuple[str, str]) -> str:
    texts = (f'<job JobID="{i}" JobName="tag-1" State="Idle" User="{o}"/>' for i, o in jobs)
    return f"<Data>{''.join(texts)}</Data>"


def _oar(*jobs: tuple[str, str]) -> str:
    return json.dumps({i: {"Job_Id": i, "name": "tag-1", "owner": o} for i, o in jobs})


class Listing:
    """Stand for a runner of another user: it prints the same for each command."""

    is_this_user = False

    def __init__(self, text: str):
        self.text = text

    async def run(self, argv, *, input="", environment=None, timeout=30.0):  # noqa: A002
        return CommandResult(tuple(argv), 0, self.text)


@pytest.mark.parametrize(
    ("name", "listing"), [("pbspro", _pbs), ("torque", _torque), ("moab", _moab), ("oar", _oar)]
)
async def test_a_job_of_somebody_else_with_the_same_name_is_not_found(name, listing):
    text = listing(("7", "mallory"), ("8", "ada"), ("9", "ada2"))
    assert await BatchClient(name, Listing(text), owner="ada").find("tag-1") == ["8"]
    assert await BatchClient(name, Listing(text), owner="ada").find("tag-2") == []
    assert await BatchClient(name, Listing(text), owner="ben").find("tag-1") == []
