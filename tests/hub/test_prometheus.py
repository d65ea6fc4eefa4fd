"""A real Prometheus that scrapes a Hub as docs/scaling.md says, and the dashboard's queries."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from tests.hubs import wait_for
from tests.ports import free_port
from tests.spawners.hub.test_dashboard import queries

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
PROMETHEUS = shutil.which("prometheus")

pytestmark = [
    pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed"),
    pytest.mark.parametrize("site", ["local"], indirect=True),
]


@pytest.fixture
def prometheus(hub, tmp_path):
    """Prometheus with the configuration of the page: the address of its API."""
    token = tmp_path / "token"
    token.write_text(hub.token)
    (text,) = re.findall(r"(?s)```yaml\n(.*?)```", PAGE.read_text("utf-8"))
    here = {
        "https": "http",
        "/etc/prometheus/jupyterhub.token": str(token),
        "jupyter.example.org": hub.url.partition("//")[2],
    }
    for old, new in here.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global:\n  scrape_interval: 1s\n{text}")
    address = f"127.0.0.1:{free_port()}"
    words = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    process = subprocess.Popen(
        [PROMETHEUS, *words, f"--web.listen-address={address}", "--log.level=error"]
    )
    yield f"http://{address}/api/v1"
    process.terminate()
    process.wait(60)


def ask(prometheus: str, path: str, **arguments: str) -> list | dict:
    """Return the data of an answer, or nothing while Prometheus starts."""
    try:
        answer = requests.get(f"{prometheus}/{path}", params=arguments, timeout=30)
    except requests.ConnectionError:
        return []
    assert answer.status_code in (200, 503), answer.text
    return answer.json()["data"] if answer.ok else []


def test_every_query_of_the_dashboard_has_an_answer_from_a_hub(hub, site, prometheus):
    user, other = hub.users[:2]

    def series(name: str) -> list:
        found = ask(prometheus, "query", query=f'{name}{{scheduler="local"}}')
        return found["result"] if found else []

    def answer(query: str) -> list:
        concrete = query.replace("$__rate_interval", "1m").replace("$scheduler", "local")
        return ask(prometheus, "query", query=concrete)["result"]

    hub.begin(user)
    hub.wait_ready(user)
    # A rate needs a value from before the change.
    wait_for(lambda: series("batchspawner_submits_total"), 60, "the first scrape")
    site.fill()
    hub.begin(other)
    wait_for(lambda: hub.states_of_job(site, other) == {"PENDING"}, 60, "a job that waits")
    site.cancel(hub.state(other)["job_id"])
    hub.wait_stopped(other)
    site.drain()
    site.break_down()
    try:
        wait_for(lambda: series("batchspawner_query_failures_total"), 60, "a failed query")
    finally:
        site.repair()

    for query in queries():
        wait_for(lambda query=query: answer(query), 30, query)
    schedulers = ask(
        prometheus, "label/scheduler/values", **{"match[]": "batchspawner_submits_total"}
    )
    assert schedulers == ["local"]
    (jobs,) = [one for one in queries() if "batchspawner_jobs" in one]
    running = {"state": "running"}
    wait_for(
        lambda: [one["value"][1] for one in answer(jobs) if one["metric"] == running] == ["1"],
        30,
        "the job that runs",
    )
