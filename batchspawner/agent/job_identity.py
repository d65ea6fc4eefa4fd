"""Find out which job this is, and which element of an array."""

from __future__ import annotations

import contextlib
import os

_JOB_IDS = (
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "OAR_JOB_ID",
    "BATCHSPAWNER_QUEUE_JOB_ID",
    "JOB_ID",
)
_INDICES = (
    "SLURM_ARRAY_TASK_ID",
    "PBS_ARRAY_INDEX",
    "PBS_ARRAYID",
    "SGE_TASK_ID",
    "LSB_JOBINDEX",
    "OAR_ARRAY_INDEX",
)
_NO_ARRAY = {"SGE_TASK_ID": "undefined", "LSB_JOBINDEX": "0"}
"""What these are in a job that is no element of an array."""


def job_id() -> str:
    """Return the scheduler's id of this job; an empty text where it does not tell."""
    told = next((os.environ[name] for name in _JOB_IDS if os.environ.get(name)), "")
    return told or _from_ad("ClusterId")


def index() -> str:
    """Return which element of an array this job is; an empty text outside of arrays."""
    found = ((name, os.environ.get(name, "")) for name in _INDICES)
    told = (number for name, number in found if number not in ("", _NO_ARRAY.get(name)))
    # Every job of HTCondor is one of a cluster, in which it may be alone.
    return next(told, "") or _from_ad("ProcId")


def _from_ad(name: str) -> str:
    """Return a number of the file in which HTCondor describes a job to itself."""
    with contextlib.suppress(KeyError, OSError), open(os.environ["_CONDOR_JOB_AD"]) as file:
        for line in file:
            key, _, value = line.partition("=")
            if key.strip() == name:
                return value.strip()
    return ""
