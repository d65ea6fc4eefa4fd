"""What a user's server does when its job ends unexpectedly, on real schedulers."""

from __future__ import annotations

import pytest

from tests.hub.alone import own_hub
from tests.hub.test_servers import first_events
from tests.hubs import wait_for
from tests.sites import no_jobs_left, start_hub

SHORT = {
    "local": 'c.LocalQueueSpawner.req_runtime = "0:1:0"',
    "slurm": 'c.SlurmSpawner.req_runtime = "0:1:0"',
    "gridengine": 'c.GridengineSpawner.req_runtime = "0:1:0"',
}
"""Walltimes that a test waits for: long enough for a server to start on a busy machine."""

HUNGRY = """
c.Spawner.cmd = ["tail", "/dev/zero"]
c.BatchSpawnerBase.batchspawner_singleuser_cmd = ""
c.BatchSpawnerBase.secret_transport = "environment"
"""


def test_a_server_that_reaches_its_walltime_is_stopped_and_the_log_says_why(site, tmp_path):
    if site.name not in SHORT:
        pytest.skip("two real schedulers show it")
    hub = start_hub(site, tmp_path, f"{SHORT[site.name]}\n")
    user = hub.users[0]
    try:
        hub.begin(user)
        hub.wait_ready(user)
        job_id = hub.state(user)["job_id"]
        hub.wait_stopped(user, 150)
        ending = [line for line in hub.log.read_text().splitlines() if f"job {job_id} " in line][-1]
        assert "timeout" in ending or "it reached its" in ending, ending
    finally:
        hub.stop()
    no_jobs_left(site)


def test_a_server_whose_node_is_lost_comes_back(site, tmp_path):
    if not hasattr(site, "lose_node"):
        pytest.skip("the tests know how to lose a node of Slurm and HTCondor only")
    with own_hub(site, tmp_path, site.short_lease) as hub:
        user = hub.users[0]
        hub.begin(user)
        hub.wait_ready(user)
        before = hub.state(user)
        site.lose_node(before["job_id"])
        try:
            port = before["job_port"]
            wait_for(lambda: hub.state(user).get("job_port", port) != port, 150, "a second start")
            wait_for(lambda: hub.kernels(user).status_code == 200, 20, "the way to the new server")
            assert hub.state(user)["job_id"] == before["job_id"]
        finally:
            site.start()


@pytest.mark.slurm
@pytest.mark.scheduler
def test_a_server_that_uses_up_its_memory_fails_with_these_words(strict_slurm, tmp_path):
    hub = start_hub(strict_slurm, tmp_path, HUNGRY)
    try:
        hub.begin(hub.users[0])
        events = first_events(hub, hub.users[0], lambda text: "failed" in text)
        assert "out of memory" in events[-1]["message"]
    finally:
        hub.stop()


def test_a_server_that_gets_no_more_memory_fails_with_these_words(site, tmp_path):
    if site.name != "gridengine":
        pytest.skip("only the tests' Grid Engine limits memory without a control group")
    # Grid Engine itself says nothing: the limit makes the program fail.
    with own_hub(site, tmp_path, HUNGRY + 'c.GridengineSpawner.req_memory = "200M"\n') as hub:
        hub.begin(hub.users[0])
        events = first_events(hub, hub.users[0], lambda text: "failed" in text)
        assert "The job needed more memory than it had asked for" in events[-1]["message"]
