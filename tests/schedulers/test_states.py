"""What each state in a scheduler's manual means, read from its answer to a query."""

from __future__ import annotations

import json

import pytest

from batchspawner.commands import CommandResult
from batchspawner.jobs import JobState
from batchspawner.schedulers import scheduler_class
from batchspawner.schedulers.htcondor.scheduler import STATES as HTCONDOR
from batchspawner.schedulers.local.scheduler import STATES as LOCAL
from batchspawner.schedulers.lsf.states import STATES as LSF
from batchspawner.schedulers.moab.scheduler import STATES as MOAB
from batchspawner.schedulers.oar.scheduler import STATES as OAR
from batchspawner.schedulers.pbspro.scheduler import STATES as PBSPRO
from batchspawner.schedulers.slurm.states import STATES as SLURM
from batchspawner.schedulers.torque.scheduler import STATES as TORQUE

MEANT = {
    # https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES and
    # https://slurm.schedmd.com/job_state_codes.html
    "slurm": {
        "BOOT_FAIL": JobState.NODE_FAIL,
        "CANCELLED": JobState.CANCELLED,
        "COMPLETED": JobState.COMPLETED,
        "COMPLETING": JobState.COMPLETING,
        "CONFIGURING": JobState.PENDING,
        "DEADLINE": JobState.TIMEOUT,
        "EXPEDITING": JobState.PENDING,
        "FAILED": JobState.FAILED,
        "LAUNCH_FAILED": JobState.NODE_FAIL,
        "NODE_FAIL": JobState.NODE_FAIL,
        "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
        "PENDING": JobState.PENDING,
        "POWER_UP_NODE": JobState.PENDING,
        "PREEMPTED": JobState.PREEMPTED,
        "RECONFIG_FAIL": JobState.NODE_FAIL,
        "REQUEUED": JobState.PENDING,
        "REQUEUE_FED": JobState.PENDING,
        "REQUEUE_HOLD": JobState.HELD,
        "RESIZING": JobState.RUNNING,
        "RESV_DEL_HOLD": JobState.HELD,
        "REVOKED": JobState.UNKNOWN,
        "RUNNING": JobState.RUNNING,
        "SIGNALING": JobState.RUNNING,
        "SPECIAL_EXIT": JobState.HELD,
        "STAGE_OUT": JobState.COMPLETING,
        "STOPPED": JobState.SUSPENDED,
        "SUSPENDED": JobState.SUSPENDED,
        "TIMEOUT": JobState.TIMEOUT,
        "UPDATE_DB": JobState.COMPLETING,
    },
    # JobStatus in
    # https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html
    "htcondor": {
        0: JobState.PENDING,  # unexpanded
        1: JobState.PENDING,  # idle
        2: JobState.RUNNING,
        3: JobState.CANCELLED,  # removed
        4: JobState.COMPLETED,
        5: JobState.HELD,
        6: JobState.COMPLETING,  # transferring output
        7: JobState.SUSPENDED,
    },
    # http://www.adaptivecomputing.com/resources/docs/mwm/3.2environment.html#jobstates
    "moab": {
        "batchhold": JobState.HELD,
        "blocked": JobState.HELD,
        "canceling": JobState.COMPLETING,
        "completed": JobState.COMPLETED,
        "deferred": JobState.HELD,
        "hold": JobState.HELD,
        "idle": JobState.PENDING,
        "migrated": JobState.PENDING,
        "notqueued": JobState.UNKNOWN,
        "removed": JobState.CANCELLED,
        "running": JobState.RUNNING,
        "staged": JobState.PENDING,
        "staging": JobState.PENDING,
        "starting": JobState.PENDING,
        "suspended": JobState.SUSPENDED,
        "systemhold": JobState.HELD,
        "userhold": JobState.HELD,
        "vacated": JobState.NODE_FAIL,
    },
    # "Job States" in chapter 8 of
    # https://help.altair.com/2024.1.0/PBS%20Professional/PBSReferenceGuide2024.1.pdf
    "pbspro": {
        "B": JobState.RUNNING,  # an array, one of whose subjobs has started
        "E": JobState.COMPLETING,  # exiting
        "F": JobState.COMPLETED,
        "H": JobState.HELD,
        "M": JobState.UNKNOWN,  # moved to another server
        "Q": JobState.PENDING,
        "R": JobState.RUNNING,
        "S": JobState.SUSPENDED,
        "T": JobState.PENDING,  # in transition to another place
        "U": JobState.SUSPENDED,  # by a user at the workstation
        "W": JobState.PENDING,  # for its time
        "X": JobState.COMPLETED,  # a subjob
    },
    # "job_state" in https://github.com/adaptivecomputing/torque/blob/master/doc/man1/qstat.1.in
    "torque": {
        "C": JobState.COMPLETED,
        "E": JobState.COMPLETING,
        "H": JobState.HELD,
        "Q": JobState.PENDING,
        "R": JobState.RUNNING,
        "S": JobState.SUSPENDED,
        "T": JobState.PENDING,
        "W": JobState.PENDING,
    },
    # https://oar-documentation.readthedocs.io/en/2.5/user/mechanisms.html ("Job states")
    "oar": {
        "Error": JobState.FAILED,
        "Finishing": JobState.COMPLETING,
        "Hold": JobState.HELD,
        "Launching": JobState.PENDING,
        "Resuming": JobState.SUSPENDED,
        "Running": JobState.RUNNING,
        "Suspended": JobState.SUSPENDED,
        "Terminated": JobState.COMPLETED,
        "Waiting": JobState.PENDING,
        "toAckReservation": JobState.PENDING,
        "toError": JobState.COMPLETING,
        "toLaunch": JobState.PENDING,
    },
    # https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=execution-about-job-states and
    # https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bjobs
    "lsf": {
        "DONE": JobState.COMPLETED,
        "EXIT": JobState.FAILED,
        "FWD_PEND": JobState.PENDING,
        "PEND": JobState.PENDING,
        "PROV": JobState.PENDING,
        "PSUSP": JobState.HELD,
        "RUN": JobState.RUNNING,
        "SSUSP": JobState.SUSPENDED,
        "UNKWN": JobState.UNKNOWN,
        "USUSP": JobState.SUSPENDED,
        "WAIT": JobState.PENDING,
        "ZOMBI": JobState.UNKNOWN,
    },
    # batchspawner.localqueue.store
    "local": {
        "CANCELLED": JobState.CANCELLED,
        "COMPLETED": JobState.COMPLETED,
        "COMPLETING": JobState.COMPLETING,
        "FAILED": JobState.FAILED,
        "NODE_FAIL": JobState.NODE_FAIL,
        "PENDING": JobState.PENDING,
        "RUNNING": JobState.RUNNING,
        "TIMEOUT": JobState.TIMEOUT,
    },
}
KNOWN = {
    "htcondor": HTCONDOR,
    "local": LOCAL,
    "lsf": LSF,
    "moab": MOAB,
    "oar": OAR,
    "pbspro": PBSPRO,
    "slurm": SLURM,
    "torque": TORQUE,
}
LOCAL_JOB = {
    "id": "7",
    "reason": "",
    "host": "",
    "name": "",
    "comment": "",
    "started": None,
    "ended": None,
    "deadline": None,
    "exit_code": None,
    "signal": None,
}
TORQUE_JOB = (
    "<Data><Job><Job_Id>7.h</Job_Id><job_state>{}</job_state><exit_status>0</exit_status>"
    "</Job></Data>"
)
PRINTED = {
    "htcondor": lambda native: json.dumps([{"ClusterId": 7, "ProcId": 0, "JobStatus": native}]),
    "local": lambda native: json.dumps({"jobs": [{**LOCAL_JOB, "state": native}]}),
    "lsf": lambda native: json.dumps(
        {"RECORDS": [{"JOBID": "7", "STAT": native, "EXIT_CODE": "1", "EXEC_HOST": "node1"}]}
    ),
    "moab": lambda native: f'<Data><job JobID="7" State="{native.capitalize()}"/></Data>',
    "oar": lambda native: json.dumps({"7": {"state": native}}),
    "pbspro": lambda native: json.dumps(
        {"Jobs": {"7.h": {"job_state": native, "Exit_status": 0, "exec_host": "node1/0"}}}
    ),
    "slurm": lambda native: f"7|{native}|n/a|N/A|N/A|day|None\n",
    "torque": TORQUE_JOB.format,
}


def state_of(name, native):
    """Return the state of job 7 where the scheduler prints its own word for it."""
    (call,) = scheduler_class(name)().query(["7"])
    return call.parse(CommandResult(call.argv, 0, PRINTED[name](native)))["7"].state


@pytest.mark.parametrize(
    ("name", "native", "state"),
    [(name, native, state) for name, states in MEANT.items() for native, state in states.items()],
)
def test_a_state_means_what_the_manual_says(name, native, state):
    assert state_of(name, native) is state


@pytest.mark.parametrize("name", KNOWN)
def test_no_state_has_a_meaning_that_is_not_tested(name):
    assert set(KNOWN[name]) == set(MEANT[name])


# https://manpages.debian.org/bookworm/gridengine-client/qstat.1 ("Output formats", state)
@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("E", JobState.HELD),
        ("N", JobState.SUSPENDED),
        ("P", JobState.SUSPENDED),
        ("R", JobState.PENDING),
        ("S", JobState.SUSPENDED),
        ("T", JobState.SUSPENDED),
        ("d", JobState.COMPLETING),
        ("h", JobState.HELD),
        ("q", JobState.PENDING),
        ("r", JobState.RUNNING),
        ("s", JobState.SUSPENDED),
        ("t", JobState.RUNNING),
        ("w", JobState.PENDING),
        ("z", JobState.COMPLETED),
    ],
)
def test_a_code_of_grid_engine_means_what_the_manual_says(code, state):
    (call,) = scheduler_class("gridengine")().query(["7"])
    job = f"<job_list><JB_job_number>7</JB_job_number><state>{code}</state></job_list>"
    answer = CommandResult(call.argv, 0, f"<job_info>{job}</job_info>")
    assert call.parse(answer)["7"].state is state


# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=logs-termination-reasons
@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("TERM_ADMIN", JobState.CANCELLED),
        ("TERM_CPULIMIT", JobState.TIMEOUT),
        ("TERM_DEADLINE", JobState.TIMEOUT),
        ("TERM_EXTERNAL_SIGNAL", JobState.FAILED),
        ("TERM_FORCE_ADMIN", JobState.CANCELLED),
        ("TERM_FORCE_OWNER", JobState.CANCELLED),
        ("TERM_MEMLIMIT", JobState.OUT_OF_MEMORY),
        ("TERM_OWNER", JobState.CANCELLED),
        ("TERM_PREEMPT", JobState.PREEMPTED),
        ("TERM_REQUEUE_ADMIN", JobState.PREEMPTED),
        ("TERM_REQUEUE_OWNER", JobState.PREEMPTED),
        ("TERM_RUNLIMIT", JobState.TIMEOUT),
        ("TERM_SWAP", JobState.OUT_OF_MEMORY),
        ("TERM_WINDOW", JobState.TIMEOUT),
        ("TERM_ZOMBIE", JobState.NODE_FAIL),
        ("TERM_OF_THE_FUTURE", JobState.FAILED),
    ],
)
def test_a_reason_for_which_lsf_ends_a_job_means_what_the_manual_says(reason, state):
    (call,) = scheduler_class("lsf")().query(["7"])
    job = {"JOBID": "7", "STAT": "EXIT", "EXIT_CODE": "143", "EXIT_REASON": f"{reason}: text"}
    answer = CommandResult(call.argv, 0, json.dumps({"RECORDS": [job]}))
    assert call.parse(answer)["7"].state is state


# HoldReasonCode in
# https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html
@pytest.mark.parametrize(
    ("code", "state"),
    [
        (1, JobState.HELD),  # by the user
        (13, JobState.HELD),  # transfer of input files failed
        (34, JobState.OUT_OF_MEMORY),  # memory usage exceeds the limit
        (46, JobState.TIMEOUT),  # the job's allowed duration was exceeded
        (47, JobState.TIMEOUT),  # the job's allowed execution time was exceeded
    ],
)
def test_a_hold_of_htcondor_whose_limit_is_used_up_is_an_end(code, state):
    (call,) = scheduler_class("htcondor")().query(["7"])
    job = {"ClusterId": 7, "ProcId": 0, "JobStatus": 5, "HoldReasonCode": code}
    assert call.parse(CommandResult(call.argv, 0, json.dumps([job])))["7"].state is state
