"""What every scheduler of the layer must do, with a real one of each kind."""

from __future__ import annotations

import asyncio
import getpass
import uuid
from pathlib import Path

import pytest

from batchspawner.errors import SchedulerError, SubmitError
from batchspawner.jobs import JobRequest, JobState
from batchspawner.runners import query
from batchspawner.schedulers import scheduler_class, scheduler_names, template_name
from batchspawner.templating import find_template
from tests.folders import open_to_all
from tests.odd_values import ODD_VALUES
from tests.recorded import FOLDER

pytestmark = pytest.mark.generations

GOLDEN = Path(__file__).parent / "golden"
LONG = "sleep 600"
"""A job that the test ends."""


@pytest.fixture
def client(site, monkeypatch):
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    return site.client()


@pytest.fixture
def open_folder():
    """A folder that the owner of the jobs can write into."""
    with open_to_all() as folder:
        yield folder


async def submit(client, site, body: str, **more) -> str:
    request = JobRequest(site.script(body), arguments=site.quiet, **more)
    return await client.submit(request)


async def until(client, job_id: str, *states: JobState):
    watch = client.watch(job_id, 0.5)
    try:
        return await watch.until(lambda status: status.state in states)
    finally:
        watch.close()


async def ended(client, job_id: str):
    return await client.wait(job_id, 0.5)


async def test_a_job_that_succeeds_has_completed(client, site):
    status = await ended(client, await submit(client, site, "true"))
    assert (status.state, status.exit_code, status.succeeded) == (JobState.COMPLETED, 0, True)


async def test_a_job_that_fails_tells_its_exit_status(client, site):
    status = await ended(client, await submit(client, site, "exit 3"))
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


async def test_a_running_job_has_a_host_and_a_start(client, site):
    job_id = await submit(client, site, LONG)
    status = await until(client, job_id, JobState.RUNNING)
    assert status.host
    assert status.start or not site.shows_start
    assert not status.is_final
    await client.cancel(job_id)


async def test_a_running_job_can_be_cancelled(client, site):
    job_id = await submit(client, site, LONG)
    await until(client, job_id, JobState.RUNNING)
    await client.cancel(job_id)
    assert (await ended(client, job_id)).state is JobState.CANCELLED


async def test_a_waiting_job_can_be_cancelled_and_says_why_it_waits(client, site):
    site.fill()
    try:
        job_id = await submit(client, site, "true")
        status = await until(client, job_id, JobState.PENDING)
        assert status.reason or not site.says_why
        assert not status.host
        await client.cancel(job_id)
        status = await ended(client, job_id)
        # Not every accounting remembers a job that never ran.
        assert status.state is JobState.CANCELLED or status.gone
    finally:
        site.drain()


async def test_an_element_of_an_array_ends_alone_and_the_rest_with_the_array(client, site):
    if not client.scheduler.arrays:
        pytest.skip(f"{site.name} has no arrays")
    job_id = await submit(client, site, LONG, elements=3)
    first, second = (client.scheduler.element(job_id, index) for index in "12")
    await until(client, first, JobState.RUNNING)
    await client.cancel(first)
    assert (await ended(client, first)).state is JobState.CANCELLED
    assert not (await client.status(second)).is_final
    assert not (await client.status(job_id)).is_final
    await client.cancel(job_id)
    assert (await ended(client, second)).state is JobState.CANCELLED
    assert (await ended(client, job_id)).state is JobState.CANCELLED


async def test_cancelling_a_job_that_has_ended_is_no_error(client, site):
    job_id = await submit(client, site, "true")
    await ended(client, job_id)
    await client.cancel(job_id)


async def test_a_signal_reaches_the_job_where_the_scheduler_can_send_one(client, site, open_folder):
    if not site.can_signal:
        with pytest.raises(SchedulerError, match="cannot send signal 10 to job 1"):
            await client.signal("1", 10)
        return
    ready = open_folder / "ready"
    body = f"trap 'exit 5' USR1; touch {ready}; while :; do sleep 0.1; done"
    job_id = await submit(client, site, body)
    while not ready.exists():
        await asyncio.sleep(0.1)
    await client.signal(job_id, 10)
    assert (await ended(client, job_id)).exit_code == 5


async def test_a_job_is_found_by_its_tag(client, site):
    tag = f"test-{uuid.uuid4().hex}"
    job_id = await submit(client, site, LONG, tag=tag)
    assert await client.find(tag) == [job_id]
    assert await client.find("no-such-tag") == []
    await client.cancel(job_id)


async def test_all_tagged_jobs_are_listed_with_their_owners(client, site):
    tag = f"jh-{uuid.uuid4().hex[:12]}"
    job_id = await submit(client, site, LONG, tag=tag)
    (found,) = [one for one in await client.tagged() if tag in one.text]
    # Not every scheduler lists the jobs of others, and so their owners.
    assert (found.job_id, found.owner) == (job_id, site.users[0] if client.scheduler.shared else "")
    await client.cancel(job_id)


async def test_ones_own_jobs_are_listed_as_a_query_shows_them(client, site):
    owner = site.users[0] if client.scheduler.shared else getpass.getuser()
    command = client.scheduler.own_jobs(owner)
    if command is None:
        pytest.skip(f"{client.scheduler.title} lists no jobs of one user")
    job_id = await submit(client, site, "sleep 60", tag=f"test-{uuid.uuid4().hex}")
    await until(client, job_id, JobState.RUNNING)
    listed = await query(client.scheduler, command, client.runner)
    (found,) = [one for one in listed if one.job_id == job_id]
    assert (found.state, found.host) == (JobState.RUNNING, (await client.status(job_id)).host)
    assert found.name
    await client.cancel(job_id)


async def test_the_environment_of_a_submit_reaches_the_job(client, site, tmp_path):
    body = '[ "$SECRET" = "a b" ]'
    job_id = await submit(client, site, body, environment={"SECRET": "a b"})
    assert (await ended(client, job_id)).succeeded


async def test_the_environment_of_a_submit_arrives_byte_by_byte_where_it_is_said_to(
    client, site, open_folder
):
    carried = client.scheduler.carried_values
    sent = {name: value for name, value in ODD_VALUES.items() if carried.fullmatch(value)}
    file = open_folder / "variables"
    body = f"env -0 > {file}.new && mv {file}.new {file}"
    job_id = await submit(client, site, body, environment=sent)
    assert (await ended(client, job_id)).succeeded
    pairs = (one.partition(b"=") for one in file.read_bytes().split(b"\0"))
    found = {name.decode(): value.decode() for name, _, value in pairs}
    assert {name: found.get(name) for name in sent} == sent


async def test_a_job_that_never_was_is_gone_without_a_trace(client, site):
    status = await client.wait("987654", 0.1)
    assert status.gone


async def test_an_end_is_noticed_where_no_accounting_tells_of_it(client, site):
    with site.without_accounting():
        status = await ended(client, await submit(client, site, "exit 3"))
    assert status.gone if site.forgets else status.exit_code == 3


async def test_a_script_that_cannot_be_submitted_is_refused(client, site):
    with pytest.raises(SubmitError):
        await client.submit(JobRequest("this is no script\n", arguments=site.refused))


async def test_what_is_no_job_id_never_reaches_the_scheduler(client, site):
    with pytest.raises(ValueError, match="is not a job id"):
        await client.cancel("1; true")


async def test_a_scheduler_that_is_down_says_nothing_and_is_heard_again(client, site):
    job_id = await submit(client, site, LONG)
    watch = client.watch(job_id, 0.5)
    try:
        running = await watch.until(lambda s: s.state is JobState.RUNNING)
        site.break_down()
        try:
            while watch.trouble is None:
                await asyncio.sleep(0.1)
            assert watch.status == running
            with pytest.raises(SchedulerError):
                await client.cancel(job_id)
        finally:
            site.repair()
        await client.cancel(job_id)
        await watch.until(lambda s: s.is_final)
        assert watch.status.state is JobState.CANCELLED
    finally:
        watch.close()


@pytest.mark.parametrize("name", scheduler_names())
def test_every_scheduler_has_a_template_transcripts_and_golden_scripts(name):
    assert scheduler_class(name).name == name
    assert find_template(template_name(name), ())[0].endswith(f"/templates/{name}.j2")
    assert list((FOLDER / name).glob("*.txt"))
    assert [(GOLDEN / f"{name}-{case}.sh").is_file() for case in ("minimal", "everything")] == [
        True,
        True,
    ]
