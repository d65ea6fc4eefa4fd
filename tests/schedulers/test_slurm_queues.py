from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest
from batchspawner.queues import GpuType, Queue, Reservation
from batchspawner.schedulers.slurm.scheduler import Slurm
from tests.recorded import answer

RESERVED_UNTIL = {"slurm": 1795238330.0, "slurm/24.11": 1795256620.0}


def test_the_partitions_are_read_from_sinfo(generation):
    types = (GpuType("a100", 1, 0, 1), GpuType("v100", 1, 1, 1))
    assert answer(Slurm().availability(), generation, "sinfo") == [
        queue("normal", cores=(766, 768), nodes=(2, 3), used=1100, is_default=True),
        queue("debug", cores=(254, 256), nodes=(0, 1), used=1100, runtime=600),
        queue(
            "gpu",
            cores=(255, 256),
            nodes=(0, 1),
            used=100,
            runtime=3600,
            gpus=2,
            free_gpus=1,
            all_gpus=2,
            least_gpus=2,
            gpu_types=types,
        ),
        queue(
            "low",
            cores=(1021, 1024),
            nodes=(2, 4),
            used=1200,
            gpus=2,
            free_gpus=1,
            all_gpus=2,
            gpu_types=types,
        ),
    ]


def queue(name: str, cores: tuple[int, int], nodes: tuple[int, int], used: int, **more) -> Queue:
    """Return a partition of nodes with 256 GB each, of which all use so many MB."""
    memory = nodes[1] * 262144 * 2**20
    no_gpus = {"gpus": 0, "free_gpus": 0, "all_gpus": 0, "least_gpus": 0}
    return Queue(
        name,
        cores=256,
        memory=262144 * 2**20,
        free_cores=cores[0],
        all_cores=cores[1],
        free_nodes=nodes[0],
        all_nodes=nodes[1],
        free_memory=memory - used * 2**20,
        all_memory=memory,
        **{**no_gpus, **more},
    )


def test_a_controller_that_does_not_answer_is_told_as_such(generation):
    with pytest.raises(SchedulerUnavailable, match="sinfo failed"):
        answer(Slurm().availability(), generation, "sinfo_down")


def read(line: str) -> list[Queue]:
    call = Slurm().availability()
    return call.parse(CommandResult(call.argv, 0, line))


def line(gres: str, used: str, nodes: str = "1/0/0/1", state: str = "mixed") -> str:
    return f"p|up|1-00:00:00|4|1000|{gres}|0/4/0/4|{nodes}|N/A|{used}|{state}|\n"


@pytest.mark.parametrize(
    ("gres", "used", "gpus", "types"),
    [
        ("(null)", "(null)", (0, 0), ()),
        ("gpu:4", "gpu:1", (4, 3), ()),
        (
            "gpu:a100:4(S:0-1),gpu:v100:2(S:0),shard:8",
            "gpu:a100:2(IDX:0,3),gpu:v100:0(IDX:N/A),shard:5",
            (6, 4),
            (GpuType("a100", 4, 2, 4), GpuType("v100", 2, 2, 2), GpuType("shard", 8, 3, 8)),
        ),
        (
            "gpu:a100:4,gpu:a100_1g.5gb:7,shard:a100:4,shard:a100_1g.5gb:12",
            "gpu:a100:0(IDX:N/A),gpu:a100_1g.5gb:3(IDX:4-6),shard:a100:1(IDX:0),shard:b:0(IDX:N/A)",
            (11, 8),
            (
                GpuType("a100", 4, 4, 4),
                GpuType("a100_1g.5gb", 7, 4, 7),
                GpuType("shard", 16, 15, 16),
            ),
        ),
        ("shard:a:8,nic:2", "shard:a:0,nic:1", (0, 0), (GpuType("shard", 8, 8, 8),)),
    ],
)
def test_gpus_parts_of_them_and_shares_are_counted_by_type(gres, used, gpus, types):
    (one,) = read(line(gres, used))
    assert (one.gpus, one.free_gpus, one.gpu_types) == (*gpus, types)


def test_nodes_of_several_kinds_are_summed_and_those_that_are_away_have_nothing_free():
    text = (
        line("gpu:a100:4", "gpu:a100:1(IDX:0)", "2/0/0/2")
        + line("gpu:a100:8", "gpu:a100:0(IDX:N/A)", "0/0/3/3", "drained")
        + line("(null)", "gpu:0", "0/1/0/1", "idle")
    )
    (one,) = read(text)
    assert (one.gpus, one.free_gpus, one.all_gpus, one.least_gpus) == (8, 6, 32, 0)
    assert one.gpu_types == (GpuType("a100", 8, 6, 32),)
    assert (one.free_memory, one.all_memory) == (3000 * 2**20, 6000 * 2**20)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("start_now", {"slurm": 1796035340.0, "slurm/24.11": 1796035370.0}),
        ("start_later", {"slurm": 1796035940.0, "slurm/24.11": 1796035970.0}),
    ],
)
def test_slurm_says_when_a_job_would_start(generation, name, start):
    call = Slurm().expected_start(JobRequest("#!/bin/sh\n"))
    assert answer(call, generation, name) == start[generation]


@pytest.mark.parametrize(
    ("name", "error"), [("start_never", SubmitError), ("start_down", SchedulerUnavailable)]
)
def test_a_job_that_slurm_would_refuse_has_no_start(generation, name, error):
    with pytest.raises(error):
        answer(Slurm().expected_start(JobRequest("#!/bin/sh\n")), generation, name)


def test_a_line_of_an_unknown_form_is_an_error_and_no_guess():
    with pytest.raises(ParseError, match="unknown form"):
        read("p|up\n")


def test_the_accounts_of_each_user_are_read_from_sacctmgr(generation):
    assert answer(Slurm().accounts(), generation, "accounts") == {"root": ("root",)}
    call = Slurm().accounts()
    told = "|root\nann|phys\nann|chem\nbob|phys\nann|phys\n"
    assert call.parse(CommandResult(call.argv, 0, told)) == {
        "ann": ("phys", "chem"),
        "bob": ("phys",),
    }


def test_without_accounting_nobody_has_accounts(generation):
    assert answer(Slurm().accounts(), generation, "accounts_disabled") == {}


def test_accounting_that_does_not_answer_is_told_as_such():
    call = Slurm().accounts()
    with pytest.raises(SchedulerUnavailable, match="sacctmgr failed"):
        call.parse(CommandResult(call.argv, 1, "", "sacctmgr: error: Connection refused"))


def test_the_reservations_are_read_from_scontrol(generation):
    assert answer(Slurm().reservations(), generation, "reservations") == [
        Reservation("course", frozenset({"alice", "root"}), frozenset(), RESERVED_UNTIL[generation])
    ]
    assert answer(Slurm().reservations(), generation, "reservations_none") == []
    with pytest.raises(SchedulerUnavailable, match="scontrol failed"):
        answer(Slurm().reservations(), generation, "reservations_down")


@pytest.mark.parametrize(
    ("user", "accounts", "now", "is_for"),
    [
        ("ann", (), 50.0, True),
        ("bob", ("phys",), 50.0, True),
        ("bob", ("chem",), 50.0, False),
        ("ann", ("phys",), 100.0, False),
    ],
)
def test_a_reservation_is_for_its_users_and_accounts_until_its_end(user, accounts, now, is_for):
    one = Reservation("course", frozenset({"ann"}), frozenset({"phys"}), 100.0)
    assert one.is_for(user, accounts, now) is is_for


def test_a_list_of_those_who_may_not_use_a_reservation_names_nobody_who_may():
    call = Slurm().reservations()
    line = "ReservationName=x StartTime=1 EndTime=2 Users=-bob Accounts=phys,-chem\n"
    assert call.parse(CommandResult(call.argv, 0, line)) == [
        Reservation("x", frozenset(), frozenset({"phys"}), 2.0)
    ]
