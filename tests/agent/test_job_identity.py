"""An agent knows which job it runs in, on every scheduler."""

from __future__ import annotations

import pytest

from batchspawner.agent import job_identity
from batchspawner.schedulers import scheduler_classes

PLACES = [
    ({"SLURM_JOB_ID": "14", "SLURM_ARRAY_TASK_ID": "3"}, ("14", "3")),
    ({"PBS_JOBID": "12[3].server", "PBS_ARRAY_INDEX": "3"}, ("12[3].server", "3")),
    ({"PBS_JOBID": "12[3].server", "PBS_ARRAYID": "3"}, ("12[3].server", "3")),
    ({"JOB_ID": "12", "SGE_TASK_ID": "3"}, ("12", "3")),
    ({"JOB_ID": "12", "SGE_TASK_ID": "undefined"}, ("12", "")),
    ({"LSB_JOBID": "12", "LSB_JOBINDEX": "3"}, ("12", "3")),
    ({"LSB_JOBID": "12", "LSB_JOBINDEX": "0"}, ("12", "")),
    ({"OAR_JOB_ID": "14", "OAR_ARRAY_INDEX": "3"}, ("14", "3")),
    ({"_CONDOR_JOB_AD": "AD"}, ("12", "3")),
    ({"_CONDOR_JOB_AD": "gone"}, ("", "")),
    ({}, ("", "")),
]


@pytest.mark.parametrize(("environment", "expected"), PLACES)
def test_a_job_finds_its_id_and_its_index(environment, expected, tmp_path, monkeypatch):
    (tmp_path / "AD").write_text('Cmd = "ProcId = 9"\nClusterId = 12\nProcId = 3\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_identity.os, "environ", environment)
    places = [one.identity() for one in scheduler_classes()]
    assert (job_identity.job_id(places), job_identity.index(places)) == expected
