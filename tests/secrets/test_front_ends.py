"""What other users of a cluster see of a kernel, a function, a cell and a cluster: no secret."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.functions.test_sites import setting_out
from tests.hubs import wait_for
from tests.secrets.spying import Spies
from tests.sites import no_jobs_left

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def meeting():
    """A folder in which the job of an ordinary user and the test leave files for each other."""
    folder = Path(tempfile.mkdtemp(prefix="bsm", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("front_end", ["function", "executor", "cell", "kernel", "cluster"])
def test_nobody_else_sees_what_goes_to_a_job_and_comes_back(site, front_end, meeting):
    if front_end == "cluster":
        pytest.importorskip("ipyparallel")
    secret, exported = secrets.token_hex(20), secrets.token_hex(20)
    begun, go = meeting / "begun", meeting / "go"
    order = {"secret": secret, "exported": exported, "begun": str(begun), "go": str(go)}
    known = [secret, secret[::-1], exported]
    argv, environment = setting_out(site, front_end, script=PROGRAM)
    spies = Spies(site, *known)
    with (
        spies.watching(),
        subprocess.Popen(
            argv,
            env=environment,
            cwd="/",
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as program,
    ):
        try:
            program.stdin.write(json.dumps(order) + "\n")
            program.stdin.flush()
            line = program.stdout.readline()
            assert line, f"the {front_end} ended with {program.wait()}"
            told = json.loads(line)
            wait_for(begun.exists, 120, "the job")
            assert spies.end() == []
            jobs = [job for job, *_ in site.jobs()]
            assert jobs
            for job in jobs:
                assert spies.look(job, *told["keys"]) == []
            go.touch()
            assert json.loads(program.stdout.readline()) == secret[::-1]
            assert program.wait(120) == 0
        finally:
            go.touch()
            program.kill()
    no_jobs_left(site)
    assert spies.look(jobs[0], *told["keys"]) == []
