"""Findings about a node in a state that the tests cannot bring about."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from batchspawner.checking.findings import Finding, Verdict
from batchspawner.checking.job_findings import (
    _cancel_finding,
    _home_finding,
    clock_finding,
    hub_finding,
)
from batchspawner.spawners import SlurmSpawner

TARGET = SimpleNamespace(spawner=SlurmSpawner(), section="SlurmSpawner")
URL = "http://hub:8081/hub/api"


def shown(finding: Finding) -> tuple[str, str, str]:
    return finding.verdict.value, finding.name, f"{finding.text} -> {finding.cure}"


@pytest.mark.parametrize(
    ("skew", "verdict", "text"),
    [
        (0.4, "ok", "the clocks of Hub and node agree -> "),
        (61.0, "wrong", "the node's clock is 61 s ahead of the Hub's -> timedatectl set-ntp true"),
        (-3600.0, "wrong", "the node's clock is 3600 s behind the Hub's -> timedatectl set-ntp"),
    ],
)
def test_a_wrong_clock_is_reported_with_its_direction(skew, verdict, text):
    said = shown(clock_finding(skew))
    assert said[:2] == (verdict, "clock")
    assert said[2].startswith(text)


@pytest.mark.parametrize(
    ("home", "verdict", "text"),
    [
        (
            {"path": "/h", "exists": True, "error": "Read-only file system"},
            "wrong",
            "nothing can be written into /h on the node: Read-only file system -> ls -ld /h; df /h",
        ),
        (
            {"path": "/h", "exists": True, "free_mb": 3},
            "warning",
            "/h has only 3 MB free -> df -h /h",
        ),
        ({"path": "/h", "exists": True, "free_mb": 4096}, "ok", "/h is writable, 4 GB free"),
    ],
)
def test_a_home_that_is_full_or_not_writable_is_reported(home, verdict, text):
    said = shown(_home_finding(TARGET, home))
    assert said[:2] == (verdict, "home")
    assert said[2].startswith(text)


def test_a_hub_that_answers_slowly_is_a_warning():
    slow = hub_finding({"step": "done", "answer_seconds": 2.5}, URL)
    assert (slow.verdict, slow.text) == (
        Verdict.WARNING,
        "the job reaches the Hub, but an answer takes 2.5 s",
    )


def test_a_job_that_cannot_be_cancelled_is_reported():
    refused = _cancel_finding(SimpleNamespace(cancel_error=RuntimeError("access denied")))
    stuck = _cancel_finding(SimpleNamespace(cancel_error=None, ended=False, job_id="7"))
    assert (refused.verdict, refused.text) == (Verdict.WRONG, "access denied")
    assert (stuck.verdict, stuck.text) == (
        Verdict.WRONG,
        "job 7 has not ended after it was cancelled; cancel it by hand",
    )
