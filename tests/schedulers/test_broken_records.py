"""Listings of all users' jobs in which the record of one job cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchspawner.errors import ParseError
from batchspawner.jobs import JobState
from batchspawner.schedulers.gridengine import GridEngine
from batchspawner.schedulers.htcondor import HTCondor
from batchspawner.schedulers.oar import OAR
from batchspawner.schedulers.slurm import Slurm
from tests.recorded import recorded

ONE_BROKEN = [
    # A variable or a name with what the scheduler does not escape; a number that is none.
    (HTCondor(), "condor_q", '"ProcId": 0,\n  "RemoteHost"', '"ProcId": 0, {\n  "RemoteHost"', "1"),
    (
        HTCondor(),
        "condor_q",
        '"JobCurrentStartDate": 1795226160,\n  "JobStatus": 2',
        '"JobCurrentStartDate": "x", "JobStatus": 2',
        "1",
    ),
    (HTCondor(), "condor_q", '"RemoteHost": "slot1_1@node1"', '"RemoteHost": "\\escape"', "1"),
    (
        OAR(),
        "oarstat",
        '"name" : "tag-1",\n      "Job_Id" : 1,',
        '"name" : "\\x",\n "Job_Id" : 1,',
        "1",
    ),
    (
        OAR(),
        "oarstat",
        '"owner" : "alice",\n      "cpuset_name"',
        '"owner" : nul,\n "cpuset_name"',
        "1",
    ),
    (GridEngine(), "qstat", "<JB_name>tag-1</JB_name>", "<JB_name>a & b <c</JB_name>", "1"),
    (Slurm(), "squeue", "1|RUNNING|n1|", "1|RUNNING\n", "1"),
]


@pytest.mark.parametrize(("scheduler", "name", "text", "broken", "job_id"), ONE_BROKEN)
def test_one_broken_record_costs_its_own_job_only(scheduler, name, text, broken, job_id):
    whole = recorded(scheduler.name, name)
    assert text in whole.stdout
    ids = [str(number) for number in range(1, 30)]
    (call,) = scheduler.query(ids)
    right = call.parse(whole)
    assert len(right) > 1
    found = call.parse(replace(whole, stdout=whole.stdout.replace(text, broken, 1)))
    assert {**found, job_id: None} == {**right, job_id: None}
    assert found[job_id].state in (JobState.UNKNOWN, right[job_id].state)
    assert not found[job_id].is_final


@pytest.mark.parametrize(("scheduler", "name", "text", "broken", "job_id"), ONE_BROKEN[2:6])
def test_a_broken_listing_without_its_end_is_not_read(scheduler, name, text, broken, job_id):
    whole = recorded(scheduler.name, name)
    spoilt = whole.stdout.replace(text, broken, 1).rstrip()
    (call,) = scheduler.query([job_id])
    with pytest.raises(ParseError):
        call.parse(replace(whole, stdout=spoilt[: len(spoilt) * 2 // 3].rstrip("]}> \n")))


def test_a_record_that_is_written_into_a_broken_one_says_nothing_of_anothers_job():
    whole = recorded("htcondor", "condor_q")
    forged = '{\n  "ClusterId": 1,\n  "JobStatus": 2,\n  "ProcId": 0,\n  "RemoteHost": "evil"\n}\n'
    spoilt = whole.stdout.replace('"ClusterId": 6,', f'"ClusterId": 6, "x\\q\n{forged}', 1)
    (call,) = HTCondor().query(["1", "4", "6"])
    found = call.parse(replace(whole, stdout=spoilt))
    assert (found["1"].state, found["1"].host) == (JobState.UNKNOWN, "")
    assert found["4"].state is JobState.HELD


@pytest.mark.parametrize(
    ("scheduler", "name", "garbage"),
    [
        (Slurm(), "sinfo", "sinfo: a plugin says so\n"),
        (Slurm(), "sinfo", "odd|up|1:00|n/a|n/a|(null)|n/a|n/a\n"),
    ],
)
def test_one_odd_line_does_not_empty_the_form(scheduler, name, garbage):
    whole = recorded(scheduler.name, name)
    call = scheduler.availability()
    assert call.parse(replace(whole, stdout=garbage + whole.stdout)) == call.parse(whole)
