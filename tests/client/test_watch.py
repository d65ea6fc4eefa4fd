"""What the shared monitor does where real schedulers, or we ourselves, make it hard."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from batchspawner.client.batch_client import BatchClient
from batchspawner.client.monitor import Monitor
from batchspawner.jobs import JobRequest, JobState
from batchspawner.runners import LocalRunner, ask
from tests.real.users import USERS, missing
from tests.sites import SlurmSite


def use(site, monkeypatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)


async def running(client, site, body: str = "sleep 600"):
    """Submit a job, and return its watch once it runs."""
    job_id = await client.submit(JobRequest(site.script(body), arguments=site.quiet))
    watch = client.watch(job_id, 0.5)
    await watch.until(lambda status: status.state is JobState.RUNNING)
    return watch


async def ended(watch):
    return await watch.until(lambda status: status.is_final)


async def test_a_monitor_whose_task_dies_still_reports_the_end_of_a_job(site, monkeypatch):
    use(site, monkeypatch)
    client = site.client()
    watch = await running(client, site)
    due, deaths = Monitor._due, []

    def dies_once(monitor):
        if not deaths:
            deaths.append(monitor)
            raise RuntimeError("the monitor's task dies")
        return due(monitor)

    monkeypatch.setattr(Monitor, "_due", dies_once)
    while not deaths:
        await asyncio.sleep(0.05)
    await client.cancel(watch.job_id)
    assert (await ended(watch)).state is JobState.CANCELLED
    assert deaths


@pytest.fixture
def private_slurm(tmp_path):
    """A Slurm that shows a job to its owner only."""
    if SlurmSite.unavailable:
        pytest.skip(SlurmSite.unavailable)
    site = SlurmSite(tmp_path)
    site.start()
    with site.cluster.conf.open("a") as conf:
        conf.write("PrivateData=jobs\n")
    site.cluster.run("scontrol", "reconfigure")
    yield site
    site.stop()


@pytest.mark.slurm
@pytest.mark.scheduler
async def test_a_job_that_only_its_owner_may_see_is_followed_to_its_end(private_slurm, monkeypatch):
    use(private_slurm, monkeypatch)
    owner, other = (LocalRunner(("sudo", "-E", "-H", "-u", name)) for name in USERS[:2])
    client = BatchClient("slurm", owner, other)
    watch = await running(client, private_slurm, "sleep 3; exit 3")
    for call in client.scheduler.query([watch.job_id]):
        assert await ask(client.scheduler, call, other) == {}
    end = await ended(watch)
    assert (end.state, end.exit_code) == (JobState.FAILED, 3)


@pytest.fixture(params=["none", "dbd"])
def forgetful_slurm(request, tmp_path):
    """A Slurm that forgets a job two seconds after its end, without accounting and with it."""
    if why := SlurmSite.unavailable or missing("Slurm's accounting", "slurmdbd", "mariadbd"):
        pytest.skip(why)
    site = SlurmSite(tmp_path)
    site.cluster.start("--minjobage", "2", "--acct", request.param)
    yield site
    site.stop()


@pytest.mark.slurm
@pytest.mark.scheduler
async def test_the_end_of_a_job_that_slurm_has_forgotten_is_noticed(
    forgetful_slurm, monkeypatch, request
):
    use(forgetful_slurm, monkeypatch)
    client = forgetful_slurm.client()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        go = Path(name, "go")
        body = f"while [ ! -e {go} ]; do sleep 0.1; done; exit 3"
        watch = await running(client, forgetful_slurm, body)
        watch.interval = 300.0
        go.touch()
        while f"JobId={watch.job_id} " in forgetful_slurm.cluster.run("scontrol", "show", "job"):
            await asyncio.sleep(0.2)
    watch.interval = 0.5
    end = await ended(watch)
    told = "dbd" in request.node.name
    assert (end.gone, end.exit_code) == (not told, 3 if told else None)
