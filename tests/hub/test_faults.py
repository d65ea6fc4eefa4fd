"""A Hub in trouble: its database, its disk, its clock, its scheduler."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchspawner.jobs import JobRequest
from tests.hub.test_servers import first_events
from tests.hubs import wait_for
from tests.sites import no_jobs_left, start_hub

MANY = """
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.db_url = "sqlite:///:memory:"
c.Spawner.start_timeout = 900
"""


def test_two_hubs_on_one_cluster_leave_each_others_jobs_alone(site, tmp_path):
    config = "c.BatchSpawnerBase.orphan_grace = 1\n"
    hubs = []
    try:
        hubs += [start_hub(site, tmp_path / "one", config)]
        hubs += [start_hub(site, tmp_path / "two", config)]
        user = hubs[0].users[0]
        for hub in hubs:
            hub.begin(user)
            hub.wait_ready(user)
        for hub in hubs:
            # A look for orphans comes with each start.
            hub.begin(hub.users[1])
            hub.wait_ready(hub.users[1])
            hub.end(hub.users[1])
        time.sleep(8)
        for hub in hubs:
            assert hub.server(user)["ready"]
            hub.end(user)
    finally:
        for hub in hubs:
            hub.stop()
    no_jobs_left(site)


def test_five_hundred_starts_at_once_each_become_one_job(site, tmp_path):
    if site.name not in ("slurm", "htcondor"):
        pytest.skip("two schedulers show it")
    hub = start_hub(site, tmp_path, MANY)
    names = [(hub.users[n % len(hub.users)], f"s{n}") for n in range(500)]

    def ask(one: tuple[str, str]) -> int:
        return hub.api("POST", f"users/{one[0]}/servers/{one[1]}").status_code

    # They wait, so that nothing but the starts is on the machine.
    site.fill()
    try:
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, names)) <= {201, 202}
        jobs = wait_for(lambda: len(site.jobs()) >= 500 and site.jobs(), 300, "the jobs")
        said = re.findall(r"submitted job (\S+)", hub.log.read_text())
        assert sorted(said) == sorted(job for job, _, _ in jobs)
        owners = Counter(owner for _, owner, _ in jobs)
        assert owners == Counter(user for user, _ in names)
        servers = [
            server
            for user in hub.users
            for server in hub.api("GET", f"users/{user}").json()["servers"].values()
        ]
        assert [server["pending"] for server in servers] == ["spawn"] * 500
    finally:
        hub.stop()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(site.cancel, (job for job, _, _ in site.jobs())))
        site.drain()
    no_jobs_left(site)


def test_a_server_starts_though_the_database_is_locked_for_a_while(site, tmp_path):
    hub = start_hub(site, tmp_path)
    user = hub.users[0]
    lock = sqlite3.connect(tmp_path / "hub.sqlite", isolation_level=None, timeout=300)
    site.fill()
    try:
        hub.begin(user)
        first_events(hub, user, lambda text: "waits in the queue" in text)
        lock.execute("begin immediate")
        site.drain()
        time.sleep(8)  # longer than a Hub waits for its database
        lock.execute("rollback")
        hub.wait_ready(user)
        wait_for(lambda: hub.state(user).get("job_port"), 60, "the state in the database")
        assert hub.kernels(user).status_code == 200
        hub.end(user)
    finally:
        lock.close()
        site.drain()
        hub.stop()
    no_jobs_left(site)


def test_a_server_that_comes_slowly_from_a_slow_disk_is_waited_for(site, tmp_path):
    config = 'c.BatchSpawnerBase.req_prologue = "sleep 70"\nc.Spawner.http_timeout = 60\n'
    hub = start_hub(site, tmp_path, config)
    try:
        hub.begin(hub.users[0])
        hub.wait_ready(hub.users[0])
        hub.end(hub.users[0])
    finally:
        hub.stop()
    no_jobs_left(site)


def test_a_job_that_is_cancelled_outside_while_it_waits_ends_the_start_with_these_words(hub, site):
    user = hub.users[0]
    site.fill()
    try:
        hub.begin(user)
        first_events(hub, user, lambda text: "waits in the queue" in text)
        site.cancel(hub.state(user)["job_id"])
        events = first_events(hub, user, lambda text: "failed" in text)
    finally:
        site.drain()
    assert site.never_ran in events[-1]["message"]


def test_a_job_that_is_cancelled_outside_while_it_starts_ends_the_start_with_these_words(
    site, tmp_path
):
    hub = start_hub(site, tmp_path, 'c.BatchSpawnerBase.req_prologue = "sleep 300"\n')
    try:
        user = hub.users[0]
        hub.begin(user)
        wait_for(lambda: "RUNNING" in hub.states_of_job(site, user), 60, "the job")
        site.cancel(hub.state(user)["job_id"])
        events = first_events(hub, user, lambda text: "failed" in text)
        assert "cancelled" in events[-1]["message"]
    finally:
        hub.stop()
    no_jobs_left(site)


def test_a_scheduler_that_is_down_while_a_server_waits_ends_no_start(hub, site):
    user = hub.users[0]
    said = len(hub.log.read_text())
    site.fill()
    try:
        hub.begin(user)
        first_events(hub, user, lambda text: "waits in the queue" in text)
        site.break_down()
        try:
            wait_for(lambda: "does not answer" in hub.log.read_text()[said:], 60, "the notice")
        finally:
            site.repair()
    finally:
        site.drain()
    hub.wait_ready(user)


def test_a_scheduler_that_forgot_the_job_and_gave_its_id_to_another_ends_only_the_server(
    site, tmp_path, monkeypatch
):
    if not hasattr(site, "forget"):
        pytest.skip("the tests know how to make only Slurm and HTCondor forget")
    hub = start_hub(site, tmp_path)
    user, other = hub.users[1], hub.users[0]
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    try:
        hub.begin(user)
        hub.wait_ready(user)
        job_id = hub.state(user)["job_id"]
        site.forget()
        while job_id not in (taken := {job: owner for job, owner, _ in site.jobs()}):
            asyncio.run(site.client().submit(JobRequest(site.script("sleep 600"))))
        assert taken[job_id] == other
        hub.wait_stopped(user, 240)
        assert re.search(rf"job {job_id} (is another one now|has ended: gone)", hub.log.read_text())
        assert job_id in {job for job, _, _ in site.jobs()}
        for job, _, _ in site.jobs():
            site.cancel(job)
    finally:
        hub.stop()
    no_jobs_left(site)


@pytest.mark.parametrize("skew", ["+40m", "-40m"])
def test_a_hub_whose_clock_is_wrong_serves_all_the_same(site, tmp_path, skew, faketime):
    if site.name == "oar":
        pytest.skip("two schedulers show it")
    hub = start_hub(site, tmp_path, LD_PRELOAD=faketime, FAKETIME=skew)
    user = hub.users[0]
    try:
        hub.begin(user)
        hub.wait_ready(user)
        time.sleep(8)  # two polls
        assert hub.server(user)["ready"]
        assert hub.kernels(user).status_code == 200
        hub.end(user)
    finally:
        hub.stop()
    no_jobs_left(site)


@pytest.fixture(scope="session")
def faketime():
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        pytest.skip("faketime is not installed")
    return str(found[0])


@pytest.mark.parametrize("mistake", ["{jobid}", "{{ jobid }}"])
def test_a_cancel_command_with_a_mistake_leaves_no_job_behind(site, tmp_path, mistake):
    if site.name != "local":
        pytest.skip("the commands of a site are the same on all schedulers")
    config = f"c.LocalQueueSpawner.batch_cancel_cmd = 'batchspawner-queue cancel {mistake}'\n"
    hub = start_hub(site, tmp_path, config)
    user = hub.users[0]
    try:
        hub.begin(user)
        hub.wait_ready(user)
        job_id = hub.state(user)["job_id"]
        hub.end(user)
        no_jobs_left(site)
        assert f"job {job_id} is not cancelled yet, it is tried again: " in hub.log.read_text()
    finally:
        hub.stop()
