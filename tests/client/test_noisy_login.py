"""A real sshd whose login shell prints a greeting before each answer."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from batchspawner.jobs import JobRequest, JobState
from batchspawner.schedulers import scheduler_class
from batchspawner.spawners.backends.exec_prefix import client_of
from tests import sshd

pytestmark = pytest.mark.skipif(
    bool(sshd.unavailable()) or not pwd.getpwuid(os.getuid()).pw_shell.endswith("bash"),
    reason=sshd.unavailable() or "the login shell of this user is not bash",
)


@pytest.fixture
def prefix(tmp_path):
    """The words before a command that run it on a host whose ~/.bashrc prints a greeting."""
    (tmp_path / ".bashrc").write_text(
        'echo "Welcome to [the] {cluster}!"\n'
        f'PATH="{Path(sys.executable).parent}:/usr/bin:/bin"\n'
    )
    environment = {"HOME": str(tmp_path), "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue")}
    host = sshd.Host(tmp_path / "ssh", "login", environment).start()
    yield ("ssh", "-F", str(host.config), "login")
    host.stop()


async def test_jobs_are_submitted_found_and_followed_behind_it(prefix):
    client = client_of(scheduler_class("local")(), prefix, "", "")
    job_id = await client.submit(JobRequest("#!/bin/sh\nsleep 600\n", tag="noisy-1"))
    assert await client.find("noisy-1") == [job_id]
    assert not (await client.status(job_id)).is_final
    await client.cancel(job_id)
    assert (await client.wait(job_id, 0.5)).state is JobState.CANCELLED
