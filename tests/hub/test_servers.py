"""What users of a Hub see, on every site."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import jupyterhub
import pytest
import requests

from tests.hub.alone import own_hub
from tests.hub.test_secrets import environments_of
from tests.hubs import wait_for
from tests.odd_values import ODD_VALUES
from tests.secrets.spying import CODE
from tests.sites import ids, no_jobs_left, start_hub


@pytest.mark.generations
def test_three_users_get_servers_at_once_each_as_a_job_of_its_owner(hub, site):
    with ThreadPoolExecutor() as pool:
        list(pool.map(hub.begin, hub.users))
    for user in hub.users:
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
    owners = sorted(owner for _, owner, state in site.jobs() if state == "RUNNING")
    assert owners == sorted(site.owner_of(user) for user in hub.users)


def test_the_metrics_of_the_hub_count_submits_queries_and_times(hub, site):
    hub.begin(hub.users[0])
    hub.wait_ready(hub.users[0])
    headers = {"Authorization": f"token {hub.token}"}
    text = requests.get(f"{hub.url}/hub/metrics", headers=headers, timeout=300).text
    told = re.findall(r"(?m)^batchspawner_(\w+)\{(.*)\} (\S+)$", text)
    ours = [(name, labels, value) for name, labels, value in told if site.name in labels]
    values = {name: float(value) for name, _, value in ours}
    counted = (
        "submits_total",
        "queries_total",
        "pending_seconds_count",
        "start_seconds_count",
        "report_to_ready_seconds_count",
    )
    assert all(values[name] >= 1 for name in counted), values
    assert values["snapshot_age_seconds"] < 60
    assert ("jobs", f'scheduler="{site.name}",state="running"', "1.0") in ours


def test_a_stopped_server_leaves_no_job(hub, site):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    hub.end(user)
    no_jobs_left(site)


@pytest.mark.generations
def test_a_waiting_server_says_so_and_starts_when_slots_are_free(hub, site):
    user = hub.users[0]
    site.fill()
    try:
        hub.begin(user)
        events = first_events(hub, user, lambda text: "waits in the queue" in text)
    finally:
        site.drain()
    hub.wait_ready(user)
    assert [event["progress"] for event in events] == sorted(e["progress"] for e in events)


@pytest.mark.skipif(jupyterhub.version_info < (6,), reason="only JupyterHub 6 stops it then")
def test_stopping_a_waiting_server_cancels_its_job(hub, site):
    user = hub.users[0]
    site.fill()
    try:
        hub.begin(user)
        job_id = wait_for(lambda: hub.state(user).get("job_id"), 20, "the job")
        assert job_id in ids(site)
        hub.end(user)
        wait_for(lambda: job_id not in ids(site), 20, "the end of the job")
    finally:
        site.drain()


def test_a_job_that_is_cancelled_outside_ends_the_server(hub, site):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    site.cancel(hub.state(user)["job_id"])
    hub.wait_stopped(user, 60)


def test_the_end_of_a_server_is_noticed_where_no_accounting_tells_of_it(hub, site):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    with site.without_accounting():
        site.cancel(hub.state(user)["job_id"])
        hub.wait_stopped(user, 120)


@pytest.mark.generations
def test_a_job_that_dies_at_once_is_reported_with_its_exit_status(site, tmp_path):
    hub = start_hub(
        site,
        tmp_path,
        'c.Spawner.cmd = ["false"]\nc.BatchSpawnerBase.batchspawner_singleuser_cmd = ""\n'
        # Without the wrapper, nothing claims the secrets.
        'c.BatchSpawnerBase.secret_transport = "environment"\n'
        'c.BatchSpawnerBase.req_prologue = "echo last words; echo last words >&2"\n',
    )
    try:
        user = hub.users[0]
        hub.begin(user)
        events = first_events(hub, user, lambda text: "failed" in text)
        assert "exit status 1" in events[-1]["message"]
        assert "It ends with:\nlast words" in events[-1]["message"]
    finally:
        hub.stop()


def test_a_server_has_each_variable_that_is_set_for_it_byte_by_byte(site, tmp_path):
    with own_hub(site, tmp_path, f"c.Spawner.environment = {ODD_VALUES!r}\n") as hub:
        user = hub.users[0]
        hub.begin(user)
        hub.wait_ready(user)
        # The shell of the job has a code, or no token, and not yet what the script sets.
        servers = [
            one
            for one in environments_of(user, hub)
            if (token := one.get("JUPYTERHUB_API_TOKEN")) and not CODE.fullmatch(token)
        ]
        assert servers
        for server in servers:
            assert {name: server.get(name) for name in ODD_VALUES} == ODD_VALUES


def test_prologue_and_epilogue_run_in_the_shell_of_the_server(site, tmp_path):
    config = r"""
c.Spawner.cmd = ["false"]
c.BatchSpawnerBase.batchspawner_singleuser_cmd = ""
c.BatchSpawnerBase.secret_transport = "environment"
c.BatchSpawnerBase.req_prologue = "MARK='7'\nif true; then\n  MARK=\"40\"\nfi"
c.BatchSpawnerBase.req_epilogue = "exit $((MARK + status))"
"""
    hub = start_hub(site, tmp_path, config)
    try:
        user = hub.users[0]
        hub.begin(user)
        events = first_events(hub, user, lambda text: "failed" in text)
        assert "exit status 41" in events[-1]["message"]
    finally:
        hub.stop()


def test_a_server_that_dies_after_its_report_is_not_waited_for(site, tmp_path):
    config = 'c.Spawner.cmd = ["no-such-server"]\nc.Spawner.http_timeout = 1000\n'
    hub = start_hub(site, tmp_path, config)
    try:
        user = hub.users[0]
        begun = time.monotonic()
        hub.begin(user)
        events = first_events(hub, user, lambda text: "failed" in text)
        assert "A command was not found on its node" in events[-1]["message"]
        assert time.monotonic() - begun < 500  # half of http_timeout
    finally:
        hub.stop()


def test_a_node_that_cannot_reach_the_hub_is_an_error_on_the_page(site, tmp_path):
    config = """
c.Spawner.hub_connect_url = "http://127.0.0.1:9"
c.Spawner.environment = {"BATCHSPAWNER_REPORT_TIMEOUT": "1"}
"""
    hub = start_hub(site, tmp_path, config)
    try:
        user = hub.users[0]
        hub.begin(user)
        events = first_events(hub, user, lambda text: "failed" in text)
        assert "could not reach the Hub at http://127.0.0.1:9/hub/api" in events[-1]["message"]
    finally:
        hub.stop()


@pytest.mark.parametrize("moment", ["running", "waiting"])
def test_servers_survive_a_killed_hub(site, tmp_path, moment):
    hub = start_hub(site, tmp_path)
    user = hub.users[1]
    try:
        if moment == "waiting":
            site.fill()
        hub.begin(user)
        if moment == "running":
            hub.wait_ready(user)
        else:
            wait_for(lambda: hub.state(user).get("job_id"), 20, "the job id in the database")
        before = ids(site)
        hub.kill()
        hub.start()
        if moment == "waiting":
            first_events(hub, user, lambda text: f"Job {hub.state(user)['job_id']} waits" in text)
            site.drain()
            first_events(hub, user, lambda text: "Server ready" in text)
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
        assert ids(site) <= before
        hub.end(user)
    finally:
        site.drain()
        hub.stop()
    no_jobs_left(site)


@pytest.mark.generations
def test_a_server_whose_job_is_requeued_comes_back_by_itself(hub, site):
    if not site.can_requeue:
        pytest.skip(f"{site.name} does not start jobs a second time")
    user = hub.users[2]
    hub.begin(user)
    hub.wait_ready(user)
    before = hub.state(user)
    site.requeue(before["job_id"])
    wait_for(
        lambda: hub.state(user).get("job_port", before["job_port"]) != before["job_port"],
        60,
        "the second report",
    )
    wait_for(lambda: hub.kernels(user).status_code == 200, 20, "the route to the new server")
    assert hub.state(user)["job_id"] == before["job_id"]


def test_a_scheduler_that_is_down_for_many_polls_ends_no_server(hub, site):
    user = hub.users[1]
    hub.begin(user)
    hub.wait_ready(user)
    before = hub.state(user)["job_id"]
    # Breaking it takes a while, and the Hub may notice within it.
    said = len(hub.log.read_text())
    site.break_down()
    try:
        wait_for(lambda: "does not answer" in hub.log.read_text()[said:], 60, "the Hub to notice")
        time.sleep(10)  # three polls of JupyterHub
        assert hub.server(user)["ready"]
        assert hub.kernels(user).status_code == 200
    finally:
        site.repair()
    wait_for(lambda: "answers again" in hub.log.read_text()[said:], 150, "the Hub to be answered")
    assert hub.server(user)["ready"]
    assert hub.state(user)["job_id"] == before


def test_a_job_that_the_hub_has_lost_is_cancelled(site, tmp_path):
    hub = start_hub(site, tmp_path, "c.BatchSpawnerBase.orphan_grace = 2\n")
    lost, other = hub.users[:2]
    try:
        for user in (lost, other):
            hub.begin(user)
            hub.wait_ready(user)
        job_id = hub.state(lost)["job_id"]
        hub.kill()
        hub.forget(lost)
        hub.start()
        wait_for(lambda: job_id not in ids(site), 40, "the end of the lost job")
        assert hub.kernels(other).status_code == 200
        hub.end(other)
    finally:
        hub.stop()
    no_jobs_left(site)


def test_nodes_whose_names_nothing_resolves_are_found_by_the_sites_table(site, tmp_path):
    if site.name != "slurm":
        pytest.skip("MultiSlurmSpawner is for Slurm")
    config = """
c.JupyterHub.spawner_class = "multislurm"
c.SlurmSpawner.trust_reported_host = False
c.MultiSlurmSpawner.daemon_resolver = dict.fromkeys(["n1", "n2", "n3", "g1"], "127.0.0.1")
"""
    hub = start_hub(site, tmp_path, config)
    user = hub.users[0]
    try:
        hub.begin(user)
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
        assert hub.state(user)["job_host"] == "127.0.0.1"
        hub.end(user)
    finally:
        hub.stop()
    no_jobs_left(site)


def first_events(hub, user, wanted):
    """Read a server's progress until a message is the wanted one, and return all events."""
    events = []
    with hub.api("GET", f"users/{user}/server/progress", stream=True) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:"):
                events.append(json.loads(line[5:]))
                if wanted(events[-1].get("message", "")):
                    return events
    raise AssertionError(f"the progress ended without the message: {events}")
