"""Hostile requests to /hub/api/batchspawner, which change nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchspawner.spawners.secrets.claim import new_code
from tests.hub.alone import own_hub
from tests.hub.test_handler import facts, own_token, report, token_of, waiting  # noqa: F401  (a fixture)
from tests.hubs import wait_for
from tests.sites import start_hub

# Real requests: each takes some milliseconds.
MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

texts = st.text(max_size=50) | st.sampled_from(["", "x" * 200, "\0", "a\nb", "../../etc/passwd"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ["port", "host", "claim", "next", "job_id", "environment", "cmd", "user", "ip", "api_token"]
)
wrong_ports = values.filter(lambda v: type(v) is not int or not 1 <= v <= 65535)
bodies = st.dictionaries(names | texts, values, max_size=6).flatmap(
    lambda body: wrong_ports.map(lambda port: json.dumps({**body, "port": port}).encode())
)
garbage = st.binary(max_size=300) | st.integers(1, 5000).map(lambda n: b"[" * n)


def code_of_job(hub, site) -> str:
    """Return the claim code of the first user's job: the queue keeps it until the job's end."""
    job_id = wait_for(lambda: hub.state(hub.users[0]).get("job_id"), 20, "the job")
    queue = f"file:{site.queue_folder / 'queue.sqlite'}?mode=ro"
    with contextlib.closing(sqlite3.connect(queue, uri=True, timeout=300)) as database:
        query = "select environment from jobs where id = ?"
        (environment,) = database.execute(query, (int(job_id),)).fetchone()
    (code,) = re.findall(r"[A-Za-z0-9_-]{43}\.claim-[0-9]+", environment)
    return code


@pytest.fixture(autouse=True)
def _no_error_of_the_hub(request):
    """Check that nothing of what a test sends is an error of the shared Hub."""
    if "hub" not in request.fixturenames:
        yield
        return
    hub = request.getfixturevalue("hub")
    before = len(hub.log.read_text())
    yield
    said = hub.log.read_text()[before:].splitlines()
    assert [line for line in said if "Traceback" in line or " 500 POST" in line] == []


@pytest.fixture
def code(waiting, site):  # noqa: F811
    """The code of the server that waits."""
    return code_of_job(waiting, site)


@pytest.fixture
def own(waiting):  # noqa: F811
    """A token by which the server that waits may report."""
    return own_token(waiting, waiting.users[0])


@MANY
@given(body=bodies | garbage)
@example(body=b'{"port": ' + b"9" * 5000 + b"}")
@example(body=b"x" * 20_000)
def test_no_body_that_is_no_report_changes_anything(waiting, code, own, body):  # noqa: F811
    user = waiting.users[0]
    before = facts(waiting, user)
    for token in (code, own):
        assert report(waiting, token, data=body).status_code in {400, 413}
    assert facts(waiting, user) == before


codes = st.from_regex(r"[A-Za-z0-9_-]{43}\.claim-[0-9]{1,25}", fullmatch=True)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@MANY
@given(token=codes | printable, more=st.dictionaries(names, values, max_size=4))
def test_no_token_and_no_code_but_its_own_reaches_a_server(waiting, token, more):  # noqa: F811
    user = waiting.users[0]
    before = facts(waiting, user)
    body = json.dumps({"claim": "a" * 32, **more, "port": 4321})
    assert report(waiting, token or "-", data=body).status_code in {400, 401, 403}
    assert facts(waiting, user) == before


@MANY
@given(job_id=st.integers(1000, 10**9).map(str), port=st.integers(1, 65535))
def test_a_code_is_worth_nothing_outside_of_its_job(waiting, code, job_id, port):  # noqa: F811
    user = waiting.users[0]
    before = facts(waiting, user)
    body = {"port": port, "claim": "b" * 32, "job_id": job_id}
    assert report(waiting, code, json=body).status_code == 403
    assert facts(waiting, user) == before


def test_other_people_get_nothing_for_a_servers_number(waiting):  # noqa: F811
    user, other = waiting.users[:2]
    before = facts(waiting, user)
    strangers = [new_code(number) for number in range(5)]
    strangers += [own_token(waiting, other), token_of(waiting, user, "read:users:name!user")]
    body = {"port": 4321, "claim": "c" * 32}
    answers = [report(waiting, token, json=body).status_code for token in strangers]
    assert answers == [403] * len(strangers)
    assert facts(waiting, user) == before


def test_a_used_code_is_refused_to_everybody_and_the_server_goes_on(hub, site):
    user = hub.users[0]
    hub.begin(user)
    code = code_of_job(hub, site)
    hub.wait_ready(user)
    before, said = facts(hub, user), len(hub.log.read_text())

    def claim(number):
        body = {"port": 4321, "claim": f"{number:064}"}
        return report(hub, code, json=body).status_code

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(claim, range(8))) == [403] * 8
    assert facts(hub, user) == before
    assert hub.kernels(user).status_code == 200
    log = hub.log.read_text()[said:]
    assert f"ALARM: the claim code of job {before['job_id']} was used a second time" in log
    assert code not in log
    metric = r'^batchspawner_claim_alarms_total\{scheduler="local"\} 8.0$'
    assert re.search(metric, hub.api("GET", "metrics").text, re.MULTILINE)


@contextlib.contextmanager
def job_that_comes_too_late(site, tmp_path):
    """Yield a Hub and a code that a test uses before the job does, which ends the job."""
    go = tmp_path / "go"
    more = f'c.BatchSpawnerBase.req_prologue = "while [ ! -e {go} ]; do sleep 0.1; done"\n'
    with own_hub(site, tmp_path, more) as one:
        user = one.users[0]
        one.begin(user)
        code = code_of_job(one, site)
        wait_for(lambda: "RUNNING" in one.states_of_job(site, user), 20, "the job")
        yield one, code
        go.touch()
        one.wait_stopped(user, 60)
        assert "was used a second time" in one.log.read_text()


def test_of_eight_claims_at_once_one_gets_the_secrets(site, tmp_path):
    with job_that_comes_too_late(site, tmp_path) as (one, code):

        def claim(number):
            body = {"port": 4321, "claim": f"{number:064}", "confirms": True}
            return report(one, code, json=body)

        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(claim, range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] + [403] * 7
        told = [answer.json().get("environment", {}) for answer in answers]
        assert sum("JUPYTERHUB_API_TOKEN" in environment for environment in told) == 1


def test_a_thief_who_poses_as_an_older_wrapper_is_an_alarm(site, tmp_path):
    with job_that_comes_too_late(site, tmp_path) as (one, code):
        assert report(one, code, json={"port": 4321}).status_code == 201


def test_where_a_claim_comes_from_is_not_for_its_headers_to_say(site, tmp_path):
    with own_hub(site, tmp_path, 'c.BatchSpawnerBase.claim_from = "host"\n') as one:
        one.begin(one.users[0])
        code = code_of_job(one, site)
        one.wait_ready(one.users[0])
        state = one.state(one.users[0])
        place = state["job_host"]
        headers = {"Authorization": f"token {code}", "X-Forwarded-For": place, "X-Real-Ip": place}
        strange = http.client.HTTPConnection(
            "127.0.0.1", one.hub_port, timeout=300, source_address=("127.0.0.9", 0)
        )
        with contextlib.closing(strange):
            body = json.dumps({"port": 4321, "claim": "0" * 32})
            strange.request("POST", "/hub/api/batchspawner", body, headers)
            answer = strange.getresponse()
            assert (answer.status, json.loads(answer.read())["message"]) == (
                403,
                f"job {state['job_id']} does not run at 127.0.0.9",
            )


BESIEGED = """
import os, subprocess, sys
port = os.environ["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0]
subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL",
                sys.executable, "-m", "http.server", port], cwd="/")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_a_stranger_who_takes_the_port_of_a_server_gets_no_visitors(site, tmp_path):
    server = tmp_path / "server"
    server.write_text(f"#!{sys.executable}\n{BESIEGED}")
    server.chmod(0o755)
    hub = start_hub(site, tmp_path, f"c.Spawner.cmd = [{str(server)!r}]\n")
    try:
        hub.begin(hub.users[0])
        wait_for(lambda: not hub.server(hub.users[0]), 60, "the end of the start")
        said = hub.log.read_text()
        # The guard that the wrapper left has ended it.
        assert "ended before its server came up: failed (exit status 143)" in said
        assert "listens on port" not in said
    finally:
        hub.stop()
