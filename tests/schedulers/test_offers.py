"""What the schedulers besides Slurm tell of their queues."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable
from batchspawner.queues import Queue
from batchspawner.schedulers.gridengine import GridEngine
from batchspawner.schedulers.htcondor import HTCondor
from tests.recorded import answer

INSTANCE = """<Queue-List><name>{name}</name><slots_used>{used}</slots_used>
<slots_total>8</slots_total>{more}</Queue-List>"""


def read(scheduler, text: str) -> list[Queue]:
    call = scheduler.availability()
    return call.parse(CommandResult(call.argv, 0, text))


def instances(*rows) -> str:
    listed = "".join(INSTANCE.format(name=name, used=used, more=more) for name, used, more in rows)
    return f"<job_info><queue_info>{listed}</queue_info><job_info></job_info></job_info>"


def test_a_queue_of_grid_engine_is_read_from_qstat():
    assert answer(GridEngine().availability(), "gridengine", "queues") == [
        Queue("all.q", cores=50, memory=round(23.541 * 2**30), free_cores=49, all_cores=50,
              free_nodes=0, all_nodes=1)
    ]  # fmt: skip


def test_the_hosts_of_a_queue_are_summed_and_those_that_take_no_jobs_have_nothing_free():
    text = instances(
        ("long.q@n1", 3, '<resource name="h_rt" type="qf">24:00:00</resource>'),
        ("long.q@n2", 0, "<state>au</state>"),
        ("short.q@n1", 0, "<state>d</state>"),
    )
    assert read(GridEngine(), text) == [
        Queue("long.q", runtime=86400, cores=8, free_cores=5, all_cores=16,
              free_nodes=0, all_nodes=2),
        Queue("short.q", is_open=False, cores=8, free_cores=0, all_cores=8,
              free_nodes=0, all_nodes=1),
    ]  # fmt: skip


def test_the_pool_of_htcondor_is_one_queue_without_a_name():
    assert answer(HTCondor().availability(), "htcondor", "slots") == [
        Queue("", cores=64, memory=131072 * 2**20, gpus=0, free_cores=61, all_cores=64,
              free_nodes=0, all_nodes=1)
    ]  # fmt: skip


def test_slots_of_fixed_size_are_free_or_not():
    slot = '{"SlotType": "Static", "State": "%s", "Cpus": 2, "TotalSlotCpus": 2, %s}'
    size = '"TotalSlotMemory": 512'
    text = f"[{slot % ('Unclaimed', size)}, {slot % ('Claimed', size)}]"
    assert read(HTCondor(), text) == [
        Queue("", cores=2, memory=512 * 2**20, gpus=0, free_cores=2, all_cores=4,
              free_nodes=1, all_nodes=2)
    ]  # fmt: skip


def test_an_empty_pool_has_no_queue():
    assert read(HTCondor(), "") == []


@pytest.mark.parametrize(
    ("scheduler", "name"),
    [(GridEngine(), "gridengine/queues_down"), (HTCondor(), "htcondor/slots_down")],
)
def test_a_scheduler_that_does_not_answer_is_told_as_such(scheduler, name):
    with pytest.raises(SchedulerUnavailable, match="failed"):
        answer(scheduler.availability(), *name.split("/"))


@pytest.mark.parametrize("scheduler", [GridEngine(), HTCondor()])
@pytest.mark.parametrize("text", ["hello", "[1]", "<a><Queue-List><slots_total>x"])
def test_an_answer_of_an_unknown_form_is_an_error_and_no_guess(scheduler, text):
    with pytest.raises(ParseError):
        read(scheduler, text)
