"""A Hub whose real scheduler's commands lie, hang or lose an answer."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import jupyterhub
import pytest

from tests.hub.alone import end_servers
from tests.hubs import wait_for
from tests.sabotage import Liars
from tests.sites import ids, no_jobs_left, start_hub

THROUGH_SUDO = """
import os
c.BatchSpawnerBase.exec_prefix = (
    "sudo -E -H -u {username} env PATH=" + os.environ["PATH"]
    + "".join(f" {name}={os.environ[name]}" for name in ("CONDOR_CONFIG", "SLURM_CONF")
              if name in os.environ)
)
"""


@pytest.fixture(scope="module")
def lied_to(site, tmp_path_factory):
    """A Hub with a running server, and `Liars` in front of its scheduler's commands."""
    if not site.listing:
        pytest.skip("fakes do this for the local queue")
    # Submits run as the user, who may not look into the folders of tests.
    folder = Path(tempfile.mkdtemp(prefix="blies", dir="/tmp"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(no_jobs_left, site)
        cleanup.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        path = site.environment.get("PATH", os.environ["PATH"])
        liars = Liars(folder / "bin", path, site.listing, site.submit)
        config = site.config.replace("exec_prefix", "ignored") + THROUGH_SUDO
        hub = start_hub(site, tmp_path_factory.mktemp("lies"), config=config, PATH=liars.path)
        cleanup.callback(hub.stop)
        cleanup.callback(end_servers, hub)
        cleanup.callback(liars.answer_truly)
        hub.begin(hub.users[0])
        hub.wait_ready(hub.users[0])
        yield hub, liars


def be_honest(hub, liars) -> None:
    """Make the commands answer truly, and wait until the Hub has got an answer."""
    # A scheduler that fails is asked less often.
    liars.answer_truly()
    said = re.compile("does not answer|answers again")
    wait_for(
        lambda: said.findall(hub.log.read_text())[-1:] != ["does not answer"], 150, "the truth"
    )


@pytest.mark.parametrize("answer", ["nonsense", "half"])
def test_whatever_a_status_command_answers_the_server_stays(lied_to, site, answer):
    hub, liars = lied_to
    before = hub.state(hub.users[0])
    liars.answer(site.listing, answer)
    try:
        liars.wait_for_lies(site.listing, 2, 90)
        time.sleep(4)  # a poll of JupyterHub
        assert hub.server(hub.users[0])["ready"]
    finally:
        be_honest(hub, liars)
    assert hub.state(hub.users[0]) == before
    assert hub.kernels(hub.users[0]).status_code == 200


def test_an_empty_list_once_ends_no_server(lied_to, site):
    hub, liars = lied_to
    liars.answer(site.listing, "empty")
    liars.wait_for_lies(site.listing, 1, 90)
    be_honest(hub, liars)
    time.sleep(8)  # two polls of JupyterHub
    assert hub.server(hub.users[0])["ready"]


def test_a_status_command_that_hangs_ends_no_server_and_blocks_nobody(lied_to, site):
    hub, liars = lied_to
    said = len(hub.log.read_text())
    liars.answer(site.listing, "hang")
    try:
        liars.wait_for_lies(site.listing, 1, 90)
        begun = time.monotonic()
        assert hub.server(hub.users[0])["ready"]
        # The command is given up after 30 s, so a Hub that waited for it would answer later.
        assert time.monotonic() - begun < 20
        wait_for(lambda: "does not answer" in hub.log.read_text()[said:], 60, "the end of it")
        assert hub.server(hub.users[0])["ready"]
    finally:
        be_honest(hub, liars)
    assert hub.kernels(hub.users[0]).status_code == 200


def test_a_submit_whose_answer_is_lost_is_not_repeated(lied_to, site):
    hub, liars = lied_to
    user, before = hub.users[1], ids(site)
    liars.answer(site.submit, "lost", site.lost_answer)
    try:
        hub.begin(user)
        wait_for(lambda: liars.lies(site.submit), 30, "the lie")
    finally:
        liars.answer_truly()
    hub.wait_ready(user)
    assert ids(site) - before == {hub.state(user)["job_id"]}
    hub.end(user)


@pytest.mark.skipif(jupyterhub.version_info < (6,), reason="only JupyterHub 6 stops it then")
def test_stopping_while_the_submit_runs_leaves_no_job(lied_to, site):
    hub, liars = lied_to
    user, before, lies = hub.users[1], ids(site), liars.lies(site.submit)
    liars.answer(site.submit, "slow")
    try:
        hub.begin(user)
        wait_for(lambda: liars.lies(site.submit) > lies, 30, "the submit")
        hub.end(user)
    finally:
        liars.answer_truly()
    wait_for(lambda: ids(site) <= before, 30, "the end of the job")


def test_a_hub_that_dies_while_it_submits_finds_its_job_again(lied_to, site):
    hub, liars = lied_to
    user, before, lies = hub.users[2], ids(site), liars.lies(site.submit)
    liars.answer(site.submit, "late")
    try:
        hub.begin(user)
        wait_for(lambda: liars.lies(site.submit) > lies, 30, "the job")
        hub.kill()
    finally:
        liars.answer_truly()
    assert "job_id" not in hub.state(user)
    hub.start()
    hub.wait_ready(user)
    assert ids(site) - before == {hub.state(user)["job_id"]}
    assert hub.kernels(user).status_code == 200
    hub.end(user)
