"""A site with commands of its own is checked with these commands."""

from __future__ import annotations

import pytest

# Each of them runs jobs: they are no unit tests.
pytestmark = pytest.mark.hub

QUERY = """#!/bin/sh
batchspawner-queue query "$1" | python3 -c '
import json, sys
for job in json.load(sys.stdin)["jobs"]: print(job["state"].upper(), "localhost")'
"""


@pytest.fixture
def own(place):
    """A site with Slurm's spawner and scripts of its own around another queue."""
    place.program("site-submit", "#!/bin/sh\nexec batchspawner-queue submit\n")
    place.program("site-query", QUERY)
    place.lines += [
        "c.JupyterHub.spawner_class = 'slurm'",
        "c.SlurmSpawner.exec_prefix = ''",
        "c.SlurmSpawner.batch_submit_cmd = 'site-submit'",
        "c.SlurmSpawner.batch_query_cmd = 'site-query {job_id}'",
        "c.SlurmSpawner.batch_cancel_cmd = 'batchspawner-queue cancel {job_id}'",
        "c.SlurmSpawner.state_running_re = '^RUNNING'",
        "c.SlurmSpawner.state_exechost_re = r'\\s+(\\S+)$'",
        "c.SlurmSpawner.state_exechost_exp = ''",
        "c.BatchSpawnerBase.command_env_keep = ['BATCHSPAWNER_*']",
        f"c.SlurmSpawner.cmd = [{str(place.bin / 'jupyterhub-singleuser')!r}]",
        f"c.SlurmSpawner.batch_script = '#!/bin/sh\\ncd {place.home}\\n{{cmd}}\\n'",
    ]
    return place


def named(found: list[dict], name: str) -> dict:
    (one,) = [one for one in found if one["name"] == name]
    return one


def test_the_sites_own_commands_run_a_real_job(own):
    found = own.findings()
    assert [one for one in found if one["verdict"] in ("wrong", "skipped")] == []
    commands = named(found, "commands")
    assert commands["verdict"] == "warning"
    assert (
        "because of c.SlurmSpawner.batch_submit_cmd, c.SlurmSpawner.batch_query_cmd, "
        in (commands["text"])
    )
    assert "one query serves all users" in commands["text"]
    assert "'RUNNING localhost': the job runs on localhost" in named(found, "query")["text"]
    assert named(found, "page")["verdict"] == "ok"


def test_the_only_reason_is_named(place):
    place.lines += [
        "c.JupyterHub.spawner_class = 'slurm'",
        "c.SlurmSpawner.exec_prefix = ''",
        r"c.SlurmSpawner.state_exechost_exp = r'\1.cluster'",
    ]
    commands = named(place.findings(job=False), "commands")
    assert "because of c.SlurmSpawner.state_exechost_exp. Without that, " in commands["text"]


def test_a_submit_that_fails(own):
    own.program("site-submit", "#!/bin/sh\necho 'no project given' >&2\nexit 1\n")
    one = own.wrong()
    assert (one["name"], one["text"]) == ("submit", "no project given")


def test_a_submit_command_that_is_not_there(own):
    one = own.wrong("c.SlurmSpawner.batch_submit_cmd = '/opt/none/site-submit'")
    assert one["name"] == "submit"
    assert "/opt/none/site-submit" in one["text"]


def test_a_submit_without_an_id(own):
    own.program("site-submit", "#!/bin/sh\ncat >/dev/null; echo welcome\n")
    one = own.wrong(
        "class Own(__import__('batchspawner').SlurmSpawner):",
        "    def parse_job_id(self, output): return str(int(output))",
        "c.JupyterHub.spawner_class = Own",
    )
    assert one["text"] == "Own.parse_job_id finds no id in what batch_submit_cmd printed"


def test_a_pattern_that_does_not_match_a_running_job(own):
    own.lines.append("c.SlurmSpawner.state_running_re = '^R '")
    wrong = named(own.findings(), "query")
    assert wrong["verdict"] == "wrong"
    assert wrong["text"] == (
        "the job runs and has reported, but c.SlurmSpawner.batch_query_cmd printed "
        "'RUNNING localhost', which does not mean so: see c.SlurmSpawner.state_running_re = '^R '"
    )


def test_a_pattern_that_finds_no_host(own):
    own.lines.append("c.SlurmSpawner.state_exechost_re = '@(.*)'")
    wrong = named(own.findings(), "query")
    assert wrong["verdict"] == "wrong"
    assert "in which no host is found: see c.SlurmSpawner.state_exechost_re" in wrong["text"]


def test_a_query_that_fails(own):
    own.lines += [
        "class Own(__import__('batchspawner').SlurmSpawner):",
        "    def state_isrunning(self): return self.job_status['state'] == 'R'",
        "c.JupyterHub.spawner_class = Own",
    ]
    wrong = named(own.findings(), "query")
    assert wrong["verdict"] == "wrong"
    assert "string indices must be integers" in wrong["text"]
