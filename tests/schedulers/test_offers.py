"""What the schedulers besides Slurm tell of their queues."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable
from batchspawner.queues import Queue
from batchspawner.schedulers.gridengine.scheduler import GridEngine
from batchspawner.schedulers.htcondor.scheduler import HTCondor
from batchspawner.schedulers.lsf.scheduler import LSF
from batchspawner.schedulers.pbspro.scheduler import PBSPro
from batchspawner.schedulers.torque.scheduler import Torque
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
        Queue(
            "all.q",
            cores=50,
            memory=round(23.541 * 2**30),
            free_cores=49,
            all_cores=50,
            free_nodes=0,
            all_nodes=1,
        )
    ]


def test_the_hosts_of_a_queue_are_summed_and_those_that_take_no_jobs_have_nothing_free():
    text = instances(
        ("long.q@n1", 3, '<resource name="h_rt" type="qf">24:00:00</resource>'),
        ("long.q@n2", 0, "<state>au</state>"),
        ("short.q@n1", 0, "<state>d</state>"),
    )
    assert read(GridEngine(), text) == [
        Queue(
            "long.q", runtime=86400, cores=8, free_cores=5, all_cores=16, free_nodes=0, all_nodes=2
        ),
        Queue(
            "short.q", is_open=False, cores=8, free_cores=0, all_cores=8, free_nodes=0, all_nodes=1
        ),
    ]


def test_the_pool_of_htcondor_is_one_queue_without_a_name():
    assert answer(HTCondor().availability(), "htcondor", "slots") == [
        Queue(
            "",
            cores=64,
            memory=131072 * 2**20,
            gpus=0,
            free_cores=61,
            all_cores=64,
            free_nodes=0,
            all_nodes=1,
        )
    ]


def test_slots_of_fixed_size_are_free_or_not():
    slot = '{"SlotType": "Static", "State": "%s", "Cpus": 2, "TotalSlotCpus": 2, %s}'
    size = '"TotalSlotMemory": 512'
    text = f"[{slot % ('Unclaimed', size)}, {slot % ('Claimed', size)}]"
    assert read(HTCondor(), text) == [
        Queue(
            "",
            cores=2,
            memory=512 * 2**20,
            gpus=0,
            free_cores=2,
            all_cores=4,
            free_nodes=1,
            all_nodes=2,
        )
    ]


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


def test_the_queues_of_pbs_have_the_nodes_of_the_server_those_that_are_down_apart():
    assert answer(PBSPro().availability(), "pbspro", "queues") == [
        Queue(
            "workq",
            cores=64,
            memory=256 * 2**30,
            gpus=0,
            free_cores=62,
            all_cores=80,
            free_nodes=0,
            all_nodes=2,
        )
    ]


def test_a_routing_queue_of_pbs_has_the_limits_of_the_queue_behind_it_which_is_not_offered():
    assert answer(PBSPro().availability(), "pbspro", "queues_routed") == [
        Queue(
            "router",
            runtime=86400,
            cores=2,
            memory=2**30,
            gpus=0,
            free_cores=6,
            all_cores=6,
            free_nodes=2,
            all_nodes=2,
        )
    ]


def test_a_node_of_pbs_that_cannot_be_read_costs_only_itself():
    queues = '{"timestamp":1,\n  "Queue":{\n    "a":{"enabled":"True", "started":"True"}\n  }\n}\n'
    good = '"state":"free",\n      "resources_available":{"ncpus":4}'
    bad = '"state":"free",\n      "comment":"its "disk" is full",\n      "x":005'
    nodes = f'"n1":{{\n      {bad}\n    }},\n    "n2":{{\n      {good}\n    }}'
    text = f'{queues}{{"timestamp":1,\n  "nodes":{{\n    {nodes}\n  }}\n}}'
    (queue,) = read(PBSPro(), text)
    assert (queue.cores, queue.all_nodes) == (4, 1)


def test_a_queue_of_pbs_can_have_nodes_of_its_own_and_a_limit():
    queues = """{"Queue": {
        "gpu": {"queue_type": "Execution", "enabled": "True", "started": "False",
                "resources_max": {"walltime": "24:00:00"}},
        "any": {"queue_type": "Execution", "enabled": "True", "started": "True"},
        "in": {"queue_type": "Route", "enabled": "True", "started": "True"}}}"""
    node = '"state": "free", "resources_available": {"ncpus": %d, "ngpus": %d}'
    nodes = f'{{"nodes": {{"a": {{"queue": "gpu", {node % (8, 2)}}}, "b": {{{node % (4, 0)}}}}}}}'
    assert read(PBSPro(), queues + nodes) == [
        Queue(
            "gpu",
            is_open=False,
            runtime=86400,
            cores=8,
            gpus=2,
            free_cores=8,
            all_cores=8,
            free_nodes=1,
            all_nodes=1,
        ),
        Queue("any", cores=4, gpus=0, free_cores=4, all_cores=4, free_nodes=1, all_nodes=1),
    ]


def test_a_queue_of_torque_has_all_nodes():
    assert answer(Torque().availability(), "torque", "queues") == [
        Queue(
            "batch",
            cores=64,
            memory=24684100 * 1024,
            gpus=0,
            free_cores=78,
            all_cores=80,
            free_nodes=1,
            all_nodes=2,
        )
    ]


def test_the_slots_that_jobs_of_torque_use_are_counted_in_all_their_forms():
    node = "<Node><np>16</np><state>free</state><jobs>0-1/403.head,3,5-6/404.head</jobs></Node>"
    table = "batch 0 1 yes yes 0 1 0 0 0 0 E 0\n"
    assert read(Torque(), f"{table}<Data>{node}</Data>")[0].free_cores == 11


def test_the_queues_of_lsf_have_all_hosts_and_a_full_one_has_nothing_free():
    hosts = {"cores": 4, "free_cores": 0, "all_cores": 4, "free_nodes": 0, "all_nodes": 1}
    assert answer(LSF().availability(), "lsf", "queues") == [
        Queue("short", **hosts),
        Queue("normal", **hosts),
        Queue("one", **hosts),
        Queue("closed", is_open=False, **hosts),
        Queue("inact", is_open=False, **hosts),
        Queue("alicesq", **hosts),
    ]
