"""Who may see the jobs of a Hub at /hub/api/batchspawner/jobs, and what they see."""

from __future__ import annotations

import csv
import json
import re

import pytest
import requests

from tests.hub.test_handler import token_of, waiting  # noqa: F401  (a fixture)
from tests.hubs import wait_for


def jobs(hub, token: str = "", **query) -> requests.Response:
    return hub.api("GET", "batchspawner/jobs", token=token, params=query)


def test_an_administrator_sees_what_waits_where_and_why(waiting):  # noqa: F811
    user = waiting.users[0]
    wait_for(lambda: jobs(waiting).json()["jobs"][0]["reason"], 30, "the reason of the scheduler")
    answer = jobs(waiting).json()
    (row,) = answer["jobs"]
    state = waiting.state(user)
    assert (row["user"], row["server"], row["job_id"]) == (user, "", state["job_id"])
    assert (row["state"], row["waited_s"], row["started"]) == ("waiting", None, None)
    assert row["submitted"] == round(state["submitted_at"])
    assert row["requested"] == state.get("requested", {})
    (header, cells) = csv.reader(jobs(waiting, format="csv").text.splitlines())
    assert dict(zip(header, cells))["job_id"] == row["job_id"]
    assert answer["complete"]
    wait_for(lambda: jobs(waiting, cursor=answer["cursor"]).json()["jobs"] == [], 30, "no news")
    assert not jobs(waiting, cursor=answer["cursor"]).json()["complete"]


def test_reasons_and_events_are_in_the_language_of_the_request(waiting):  # noqa: F811
    user = waiting.users[0]
    job_id = waiting.state(user)["job_id"]

    def row_of_the_job():
        (row,) = jobs(waiting).json()["jobs"]
        return row if row["job_id"] == job_id and row["reason"] else None

    english = wait_for(row_of_the_job, 30, "the reason of the scheduler")
    german = {"Authorization": f"token {waiting.token}", "Accept-Language": "de"}
    api = f"{waiting.url}/hub/api"
    (row,) = requests.get(f"{api}/batchspawner/jobs", headers=german, timeout=60).json()["jobs"]
    assert {**row, "reason": ""} == {**english, "reason": ""}
    assert re.fullmatch(r"it needs \d+ of the queue's slots, .*", english["reason"])
    assert re.fullmatch(r"er braucht \d+ der Plätze der Warteschlange, .*", row["reason"])
    told = ""
    path = f"users/{user}/server/progress"
    with requests.get(f"{api}/{path}", headers=german, timeout=60, stream=True) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data:"):
                told = json.loads(line[5:]).get("message", "")
                if "wartet" in told:
                    break
    assert f"Job {row['job_id']} wartet in der Warteschlange: er braucht" in told


def test_no_user_sees_jobs_of_others(waiting):  # noqa: F811
    user, other = waiting.users[:2]
    refused = {
        "the user": token_of(waiting, user, "servers!user", "read:servers!user"),
        "another user": token_of(waiting, other, "inherit"),
        "nobody": "no-such-token",
    }
    for who, token in refused.items():
        assert jobs(waiting, token).status_code == 403, who
        assert jobs(waiting, token, format="csv").status_code == 403, who
        for figures in ("starts", "queues"):
            answer = waiting.api("GET", f"batchspawner/{figures}", token=token)
            assert answer.status_code == 403, (who, figures)
    page = requests.get(f"{waiting.url}/hub/api/batchspawner/jobs", timeout=30)
    assert page.status_code == 403


def test_an_administrator_sees_what_is_free_in_the_queues(waiting):  # noqa: F811
    (local,) = waiting.api("GET", "batchspawner/queues").json()["schedulers"]
    assert local["scheduler"] == "local"
    (queue,) = local["queues"]
    assert [(bar["label"], bar["text"], bar["used"]) for bar in queue["bars"]][:1] == [
        ("Cores", "0 of 3 free", 100)
    ]
    assert "ago" in local["note"]


@pytest.mark.parametrize("cursor", ["x", "-", "0-0", "a-9999999999999999999999", "é-²"])
def test_an_unknown_cursor_gets_all(waiting, cursor):  # noqa: F811
    answer = jobs(waiting, cursor=cursor).json()
    assert answer["complete"]
    assert len(answer["jobs"]) == 1
