from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable
from batchspawner.queues import Queue, Reservation
from batchspawner.schedulers.slurm.scheduler import Slurm
from tests.recorded import answer

RESERVED_UNTIL = {"slurm": 1795238330.0, "slurm/24.11": 1795256620.0}
SIZE = {"cores": 256, "memory": 262144 * 2**20}


def test_the_partitions_are_read_from_sinfo(generation):
    assert answer(Slurm().availability(), generation, "sinfo") == [
        Queue(
            "normal",
            True,
            True,
            None,
            **SIZE,
            gpus=0,
            free_cores=766,
            all_cores=768,
            free_nodes=2,
            all_nodes=3,
        ),
        Queue(
            "debug",
            False,
            True,
            600,
            **SIZE,
            gpus=0,
            free_cores=254,
            all_cores=256,
            free_nodes=0,
            all_nodes=1,
        ),
        Queue(
            "gpu",
            False,
            True,
            3600,
            **SIZE,
            gpus=2,
            free_cores=256,
            all_cores=256,
            free_nodes=1,
            all_nodes=1,
        ),
        Queue(
            "low",
            False,
            True,
            None,
            **SIZE,
            gpus=2,
            free_cores=1022,
            all_cores=1024,
            free_nodes=3,
            all_nodes=4,
        ),
    ]


def test_a_controller_that_does_not_answer_is_told_as_such(generation):
    with pytest.raises(SchedulerUnavailable, match="sinfo failed"):
        answer(Slurm().availability(), generation, "sinfo_down")


def read(line: str) -> list[Queue]:
    call = Slurm().availability()
    return call.parse(CommandResult(call.argv, 0, line))


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", 0),
        ("gpu:4", 4),
        ("gpu:a100:4(S:0-1),gpu:v100:2(S:0),shard:8", 6),
        ("shard:a:8,nic:2", 0),
    ],
)
def test_gpus_of_all_types_are_counted(gres, gpus):
    assert read(f"p|up|1-00:00:00|4+|1000+|{gres}|0/4/0/4|0/1/0/1\n")[0].gpus == gpus


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
