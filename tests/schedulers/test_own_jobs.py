"""Listings of one user's own jobs, as the list of jobs in JupyterLab shows them."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.jobs import JobState
from batchspawner.schedulers import _BUILT_IN as BUILT_IN
from batchspawner.schedulers import scheduler_class
from tests.recorded import answer, recorded


def test_every_scheduler_lists_the_jobs_of_its_user():
    listed = [scheduler_class(name)().own_jobs("alice") for name in sorted(BUILT_IN)]
    assert None not in listed


@pytest.mark.parametrize(
    ("scheduler", "name"), [("pbspro", "qstat"), ("torque", "qstat"), ("moab", "mdiag")]
)
def test_a_listing_of_all_shows_each_user_the_own_jobs_only(scheduler, name):
    one = scheduler_class(scheduler)()
    owners = {job.job_id: job.owner for job in one.tagged().parse(recorded(scheduler, name))}
    for owner in (*set(owners.values()), "nobody"):
        found = answer(one.own_jobs(owner), scheduler, name)
        assert not any(status.is_final for status in found)
        assert {status.job_id for status in found} == {
            job_id for job_id, known in owners.items() if known == owner
        }


@pytest.mark.parametrize(
    ("scheduler", "name", "words"),
    [
        ("gridengine", "qstat", ("qstat", "-xml", "-u", "alice")),
        ("oar", "oarstat", ("oarstat", "-J", "-u", "alice")),
        ("htcondor", "condor_q", ("-constraint", 'Owner == "alice"')),
        ("lsf", "bjobs", ("alice",)),
    ],
)
def test_a_listing_of_one_user_has_the_states_and_names_of_the_query(scheduler, name, words):
    one = scheduler_class(scheduler)()
    command = one.own_jobs("alice")
    assert command.argv[-len(words) :] == words
    found = command.parse(recorded(scheduler, name))
    assert found
    wanted = {status.job_id for status in found}
    (query,) = one.query(sorted(wanted))
    states = {
        job_id: status.state
        for job_id, status in query.parse(recorded(scheduler, name)).items()
        if not status.is_final
    }
    assert {status.job_id: status.state for status in reversed(found)} == states


def test_a_job_of_htcondor_without_a_name_is_called_after_its_program():
    text = '[{"ClusterId": 7, "ProcId": 0, "JobStatus": 2, "Cmd": "/home/alice/run me"}]'
    command = scheduler_class("htcondor")().own_jobs("alice")
    (found,) = command.parse(CommandResult(("condor_q",), 0, text, ""))
    assert (found.job_id, found.name, found.state) == ("7", "run me", JobState.RUNNING)
