"""What every scheduler of the layer must do, with a real one of each kind."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from batchspawner.errors import SchedulerError, SubmitError
from batchspawner.jobs import JobRequest, JobState
from batchspawner.schedulers import scheduler_class, scheduler_names, template_name
from batchspawner.templating import find_template
from tests.recorded import FOLDER

pytestmark = pytest.mark.generations

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def client(site, monkeypatch):
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    return site.client()


async def submit(client, site, body: str, **more) -> str:
    request = JobRequest(site.script(body), arguments=site.quiet, **more)
    return await client.submit(request)


async def until(client, job_id: str, *states: JobState):
    watch = client.watch(job_id, 0.5)
    try:
        return await asyncio.wait_for(watch.until(lambda status: status.state in states), 40)
    finally:
        watch.close()


async def ended(client, job_id: str):
    return await asyncio.wait_for(client.wait(job_id, 0.5), 40)


async def test_a_job_that_succeeds_has_completed(client, site):
    status = await ended(client, await submit(client, site, "true"))
    assert (status.state, status.exit_code, status.succeeded) == (JobState.COMPLETED, 0, True)


async def test_a_job_that_fails_tells_its_exit_status(client, site):
    status = await ended(client, await submit(client, site, "exit 3"))
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


async def test_a_running_job_has_a_host_and_a_start(client, site):
    job_id = await submit(client, site, "sleep 60")
    status = await until(client, job_id, JobState.RUNNING)
    assert status.host
    assert status.start or not site.shows_start
    assert not status.is_final
    await client.cancel(job_id)


async def test_a_running_job_can_be_cancelled(client, site):
    job_id = await submit(client, site, "sleep 60")
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
    job_id = await submit(client, site, "sleep 60", elements=3)
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


async def test_a_signal_reaches_the_job_where_the_scheduler_can_send_one(client, site):
    if not site.can_signal:
        with pytest.raises(SchedulerError, match="cannot send signal 10 to job 1"):
            await client.signal("1", 10)
        return
    job_id = await submit(client, site, "trap 'exit 5' USR1; while :; do sleep 0.1; done")
    await until(client, job_id, JobState.RUNNING)
    await asyncio.sleep(1)  # until the shell has set its trap
    await client.signal(job_id, 10)
    assert (await ended(client, job_id)).exit_code == 5


async def test_a_job_is_found_by_its_tag(client, site):
    tag = f"test-{uuid.uuid4().hex}"
    job_id = await submit(client, site, "sleep 60", tag=tag)
    assert await client.find(tag) == [job_id]
    assert await client.find("no-such-tag") == []
    await client.cancel(job_id)


async def test_all_tagged_jobs_are_listed_with_their_owners(client, site):
    tag = f"jh-{uuid.uuid4().hex[:12]}"
    job_id = await submit(client, site, "sleep 60", tag=tag)
    (found,) = [one for one in await client.tagged() if tag in one.text]
    # Not every scheduler lists the jobs of others, and so their owners.
    assert (found.job_id, found.owner) == (job_id, site.users[0] if client.scheduler.shared else "")
    await client.cancel(job_id)


async def test_the_environment_of_a_submit_reaches_the_job(client, site, tmp_path):
    body = '[ "$SECRET" = "a b" ]'
    job_id = await submit(client, site, body, environment={"SECRET": "a b"})
    assert (await ended(client, job_id)).succeeded


async def test_a_job_that_never_was_is_gone_without_a_trace(client, site):
    status = await asyncio.wait_for(client.wait("987654", 0.1), 40)
    assert status.gone


async def test_a_script_that_cannot_be_submitted_is_refused(client, site):
    with pytest.raises(SubmitError):
        await client.submit(JobRequest("this is no script\n", arguments=site.refused))


async def test_what_is_no_job_id_never_reaches_the_scheduler(client, site):
    with pytest.raises(ValueError, match="is not a job id"):
        await client.cancel("1; true")


async def test_a_scheduler_that_is_down_says_nothing_and_is_heard_again(client, site):
    job_id = await submit(client, site, "sleep 60")
    watch = client.watch(job_id, 0.5)
    try:
        running = await asyncio.wait_for(watch.until(lambda s: s.state is JobState.RUNNING), 40)
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
        await asyncio.wait_for(watch.until(lambda s: s.is_final), 40)
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
