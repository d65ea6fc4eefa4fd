"""What a job may tell of its node that no machine of the tests can be brought to show."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from batchspawner.checking.findings import Finding, Verdict
from batchspawner.checking.verdicts import _judge_end, _judge_home, judge_clock, judge_hub
from batchspawner.spawners import SlurmSpawner

BENCH = SimpleNamespace(spawner=SlurmSpawner(), section="SlurmSpawner")
URL = "http://hub:8081/hub/api"


def told(finding: Finding) -> tuple[str, str, str]:
    return finding.verdict.value, finding.name, f"{finding.text} -> {finding.cure}"


@pytest.mark.parametrize(
    ("skew", "verdict", "text"),
    [
        (0.4, "ok", "the clocks of Hub and node agree -> "),
        (61.0, "wrong", "the node's clock is 61 s ahead of the Hub's -> timedatectl set-ntp true"),
        (-3600.0, "wrong", "the node's clock is 3600 s behind the Hub's -> timedatectl set-ntp"),
    ],
)
def test_a_clock_that_is_wrong_is_told_with_the_direction(skew, verdict, text):
    said = told(judge_clock(skew))
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
        ({"path": "/h", "exists": True, "free_mb": 4096}, "ok", "/h can be written, 4 GB free"),
    ],
)
def test_a_home_that_is_full_or_cannot_be_written_is_told(home, verdict, text):
    said = told(_judge_home(BENCH, home))
    assert said[:2] == (verdict, "home")
    assert said[2].startswith(text)


def test_a_hub_that_answers_slowly_is_to_be_thought_about():
    slow = judge_hub({"step": "done", "answer_seconds": 2.5}, URL)
    assert (slow.verdict, slow.text) == (
        Verdict.WARNING,
        "the job reaches the Hub, but an answer takes 2.5 s",
    )


def test_a_job_that_cannot_be_cancelled_is_told():
    refused = _judge_end(SimpleNamespace(cancel_error=RuntimeError("access denied")))
    stuck = _judge_end(SimpleNamespace(cancel_error=None, ended=False, job_id="7"))
    assert (refused.verdict, refused.text) == (Verdict.WRONG, "access denied")
    assert (stuck.verdict, stuck.text) == (
        Verdict.WRONG,
        "job 7 still lives after it was cancelled; cancel it by hand",
    )
