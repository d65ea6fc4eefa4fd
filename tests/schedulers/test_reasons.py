from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import SchedulerUnavailable
from batchspawner.schedulers import scheduler_class, scheduler_names
from batchspawner.schedulers.reasons import Explanation, Reason, explain
from batchspawner.schedulers.slurm.scheduler import Slurm
from tests.recorded import answer

USED = "you already use as {} {} as one user may have here at a time"

WORDS = [
    ("slurm", "Priority", "jobs that come before it wait, too"),
    ("slurm", "Resources", "it is the next in its queue; what it needs is in use by others"),
    ("slurm", "QOSMaxCpuPerUserLimit", USED.format("many", "cores")),
    ("slurm", "QOSMaxGRESPerUser", USED.format("many", "GPUs")),
    ("slurm", "QOSMaxMemoryPerUser", USED.format("much", "memory")),
    (
        "slurm",
        "AssocGrpCpuLimit",
        "your account, with everybody in it, already uses all the cores that it may have at a time",
    ),
    (
        "slurm",
        "AssocGrpCPUMinutesLimit",
        "the computing time of your account is used up, or promised to running jobs",
    ),
    ("slurm", "QOSMaxCpuPerJobLimit", "it asks for a number of cores that one job may not have"),
    (
        "slurm",
        "QOSMaxJobsPerUserLimit",
        "as many jobs as are allowed at a time run already for you or your account",
    ),
    (
        "slurm",
        "AssocMaxJobsLimit",
        "as many jobs as are allowed at a time run already for you or your account",
    ),
    ("slurm", "QOSMaxWallDurationPerJobLimit", "it asks for more time than is allowed here"),
    ("slurm", "PartitionTimeLimit", "it asks for more time than is allowed here"),
    ("slurm", "PartitionDown", "its partition starts no jobs at present"),
    (
        "slurm",
        "ReqNodeNotAvail, Reserved for maintenance",
        "nodes are reserved for maintenance that begins before it would end",
    ),
    (
        "slurm",
        "ReqNodeNotAvail, UnavailableNodes:n1",
        "the nodes that could run it are down, or kept for others",
    ),
    ("slurm", "JobHeldUser", "you, or a program of yours, put it on hold"),
    ("slurm", "JobHeldAdmin", "an administrator has put it on hold"),
    ("slurm", "launch failed requeued held", "its node could not start it, so it was put back"),
    ("slurm", "Reservation", "its reservation has not begun, or is full"),
    ("slurm", "Licenses", "all licences that it needs are in use"),
    (
        "pbspro",
        "Can Never Run: Insufficient amount of resource: host (node77 != node1,node2)",
        "no node has all that it asks for",
    ),
    (
        "pbspro",
        "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 8)",
        "too little is free of what it needs (ncpus)",
    ),
    (
        "pbspro",
        "Not Running: User has reached queue running job limit.",
        "you already use as much as one user may have here at a time",
    ),
    ("pbspro", "Not Running: Queue not started.", "its queue starts no jobs at present"),
    (
        "torque",
        "Not Running: Not enough of the right type of nodes are available",
        "too little is free of what it needs",
    ),
    ("lsf", "Job slot limit reached: 1 host;", "as many jobs as may run here at a time do so"),
    (
        "lsf",
        "The job was suspended by the user while pending;",
        "you, or a program of yours, put it on hold",
    ),
    (
        "lsf",
        "User has reached the per-user job slot limit of the queue;",
        "you already use as much as one user may have here at a time",
    ),
    (
        "gridengine",
        "its start failed (Eqw); qstat -j tells why, qmod -cj tries again",
        "its start on a node failed, and Grid Engine has stopped it",
    ),
    (
        "htcondor",
        "submitted on hold at user's request",
        "you, or a program of yours, put it on hold",
    ),
    (
        "htcondor",
        "The job exceeded allowed job duration of 00:02",
        "it has used more than it had asked for",
    ),
    ("oar", "R=16,W=1:0:0,J=B,N=tag-1 (Karma=0.000,quota_ok)", "what it needs is in use by others"),
    (
        "oar",
        "R=16,W=1:0:0,J=B (Karma=0.000,quota_exceeded)",
        "you, your project or its queue already use as much as they may at a time",
    ),
    (
        "moab",
        "IdlePolicy:job 13 violates idle HARD MAXIPROC limit of 8 for user alice",
        "you already have as many as one user may have here at a time (8)",
    ),
    ("moab", "Batch hold", "it is on hold"),
    (
        "local",
        "needs 1 of the slots, 0 free; 2 ahead in the queue",
        "it needs 1 of the queue's slots, 0 are free, and 2 before it wait, too",
    ),
    (
        "local",
        "needs 2 of the slots, 0 free",
        "it needs 2 of the queue's slots, and 0 are free; it is the next one",
    ),
]


@pytest.mark.parametrize(("scheduler", "native", "meaning"), WORDS)
def test_a_schedulers_reason_is_told_in_plain_words(scheduler, native, meaning):
    known = scheduler_class(scheduler).explain(native)
    assert (known.meaning, known.native) == (meaning, native)


def test_every_scheduler_has_a_table():
    assert [name for name in scheduler_names() if not scheduler_class(name).reasons] == []


def test_a_reason_that_nobody_knows_stands_as_it_is():
    assert Slurm.explain("Reticulating  splines") == Explanation(native="Reticulating splines")


def test_a_limit_that_waiting_does_not_lift_is_told_as_such():
    known = Slurm.explain("QOSMaxCpuPerJobLimit")
    assert known.forever
    assert known.advice.startswith("It will not start like this.")


def test_what_a_scheduler_writes_has_no_placeholders():
    table = [Reason("limit (?P<what>.*)", "limit of %(what)s")]
    assert explain(table, "limit {0} %(what)s 5%").meaning == "limit of {0} %(what)s 5%"


def test_what_a_scheduler_says_at_length_is_cut():
    assert explain((), "x" * 500).native == "x" * 199 + "…"


def test_slurms_jobs_are_counted_by_partition_in_the_order_of_their_priority():
    assert answer(Slurm().ahead(), "slurm", "waiting") == {
        "4": 0,
        "5_[1-5%2]": 1,
        "6": 0,
        "9": 2,
    }


def test_a_queue_that_slurm_does_not_show_is_no_empty_queue():
    call = Slurm().ahead()
    with pytest.raises(SchedulerUnavailable, match="squeue failed"):
        call.parse(CommandResult(call.argv, 1, "", "slurm_load_jobs error"))


def test_the_cores_of_a_user_are_counted_by_the_limit_under_which_the_job_is():
    call = Slurm().core_usage()
    lines = (
        "1|RUNNING|ada|normal|32\n2|RUNNING|ada|normal|32\n3|RUNNING|ada|long|8\n"
        "4|RUNNING|ben|normal|4\n5|PENDING|ada|normal|1\n6|PENDING|ben|long|1\n"
    )
    assert call.parse(CommandResult(call.argv, 0, lines)) == {
        "5": ("normal", 64),
        "6": ("long", 0),
    }


def test_limits_of_cores_are_read_where_there_is_accounting():
    call = Slurm().core_limits()
    said = "normal|cpu=64,gres/gpu=2\nlong|mem=10G\nfree|\n"
    assert call.parse(CommandResult(call.argv, 0, said)) == {"normal": 64}
    failed = CommandResult(call.argv, 1, "", "You are not running a supported accounting_storage")
    assert call.parse(failed) == {}
