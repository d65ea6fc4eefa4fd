"""Ids of new jobs among the notices that a site's wrapper or hook prints."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError
from batchspawner.jobs import JobRequest
from batchspawner.schedulers import scheduler_class

BEFORE = """-----------------------------------------------
     Welcome to the Example7 Supercomputer 2.0
-----------------------------------------------
2.0

--> Checking available allocation (ABC-12345)...OK
--> quota of /work/01234/ada is at  0.00%...OK
"""
AFTER = "Please remember: /scratch is cleaned on the 1st of each month.\n"
IDS = {
    "slurm": ("519605", "519605;north"),
    "pbspro": ("519605.pbs1", "519605[].pbs1"),
    "torque": ("519605.srv.example.org", "519605"),
    "moab": ("Moab.519605", "519605"),
}
CASES = [(name, job_id) for name, ids in IDS.items() for job_id in ids]


def submitted(name, text):
    command = scheduler_class(name)().submit(JobRequest(""))
    return command.parse(CommandResult(command.argv, 0, text))


@pytest.mark.parametrize(("name", "job_id"), CASES)
def test_an_id_is_found_among_notices(name, job_id):
    before = (
        BEFORE if job_id in IDS[name][:1] and "." in job_id else BEFORE.replace("\n2.0\n", "\n")
    )
    assert submitted(name, f"{before}{job_id}\n") == job_id
    assert submitted(name, f"{job_id}\n{AFTER}") == job_id
    assert submitted(name, f"{before}\n{job_id}\r\n\n{AFTER}") == job_id


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("text", ["", AFTER, "12\n13\n", "job 12 submitted"])
def test_none_is_guessed(name, text):
    with pytest.raises(ParseError, match="printed no job id"):
        submitted(name, text)
