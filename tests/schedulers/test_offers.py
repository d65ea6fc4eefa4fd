"""What the schedulers besides Slurm tell of their queues."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable
from batchspawner.jobs import JobRequest
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
            memory=round(23.540 * 2**30),
            free_cores=49,
            all_cores=50,
            free_nodes=0,
            all_nodes=1,
            free_gpus=3,
        )
    ]


def test_of_grid_engines_gpus_the_free_ones_are_known_and_none_where_a_host_is_away():
    gpu = '<resource name="gpu" type="hc">%s</resource>'
    text = instances(
        ("a.q@n1", 0, gpu % "2"), ("a.q@n2", 0, gpu % "1.000"), ("a.q@n3", 0, "<state>u</state>")
    )
    assert read(GridEngine(), text)[0].free_gpus == 3


@pytest.mark.parametrize(("name", "start"), [("start_now", 0.0), ("start_later", None)])
def test_grid_engine_says_whether_a_job_could_start_at_once(name, start):
    call = GridEngine().expected_start(JobRequest("#!/bin/sh\n"))
    assert answer(call, "gridengine", name) == start


def test_a_grid_engine_that_is_down_says_nothing_about_a_start():
    call = GridEngine().expected_start(JobRequest("#!/bin/sh\n"))
    with pytest.raises(SchedulerUnavailable):
        answer(call, "gridengine", "start_down")


def test_the_hosts_of_a_queue_are_summed_and_those_that_take_no_jobs_have_nothing_free():
    text = instances(
        ("long.q@n1", 3, '<resource name="h_rt" type="qf">24:00:00</resource>'),
        ("long.q@n2", 0, "<state>au</state>"),
        ("short.q@n1", 0, "<state>d</state>"),
    )
    assert read(GridEngine(), text) == [
        Queue(
            "long.q",
            runtime=86400,
            cores=8,
            free_cores=5,
            all_cores=16,
            free_nodes=0,
            all_nodes=2,
            free_gpus=0,
        ),
        Queue(
            "short.q",
            is_open=False,
            cores=8,
            free_cores=0,
            all_cores=8,
            free_nodes=0,
            all_nodes=1,
            free_gpus=0,
        ),
    ]


def test_the_pool_of_htcondor_is_one_queue_without_a_name():
    assert answer(HTCondor().availability(), "htcondor", "slots") == [
        Queue(
            "",
            cores=64,
            memory=131072 * 2**20,
            gpus=2,
            free_cores=62,
            all_cores=64,
            free_nodes=0,
            all_nodes=1,
            free_memory=129920 * 2**20,
            all_memory=131072 * 2**20,
            free_gpus=1,
            all_gpus=2,
            least_gpus=2,
        )
    ]


def test_slots_of_fixed_size_are_free_or_not():
    slot = '{"SlotType": "Static", "State": "%s", "Cpus": 2, "TotalSlotCpus": 2, %s}'
    size = '"TotalSlotMemory": 512, "Memory": 512'
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
            free_memory=512 * 2**20,
            all_memory=1024 * 2**20,
            free_gpus=0,
            all_gpus=0,
            least_gpus=0,
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
            free_memory=256 * 2**30,
            all_memory=320 * 2**30,
            free_gpus=0,
            all_gpus=0,
            least_gpus=0,
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
            free_memory=2 * 24683652 * 2**10,
            all_memory=2 * 24683652 * 2**10,
            free_gpus=0,
            all_gpus=0,
            least_gpus=0,
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
            free_gpus=2,
            all_gpus=2,
            least_gpus=2,
        ),
        Queue(
            "any",
            cores=4,
            gpus=0,
            free_cores=4,
            all_cores=4,
            free_nodes=1,
            all_nodes=1,
            free_gpus=0,
            all_gpus=0,
            least_gpus=0,
        ),
    ]


def test_the_queues_of_torque_have_their_limits_and_all_nodes():
    nodes = {
        "gpus": 0,
        "free_cores": 78,
        "all_cores": 80,
        "free_nodes": 1,
        "all_nodes": 2,
        "least_gpus": 0,
    }
    assert answer(Torque().availability(), "torque", "queues") == [
        Queue("short", runtime=1800, cores=64, memory=2**30, **nodes),
        Queue("batch", runtime=86400, cores=2, memory=2**30, **nodes),
    ]


def torque_queue(name: str, *attributes: str) -> str:
    lines = ("enabled = True", "started = True", *attributes)
    return f"Queue: {name}\n" + "".join(f"    {line}\n" for line in lines) + "\n"


NODE = "<Node><np>16</np><state>free</state><jobs>{jobs}</jobs></Node>"


def test_a_routing_queue_of_torque_has_the_limits_of_those_behind_it():
    text = (
        torque_queue("in", "queue_type = Route", "route_destinations = day,night@other")
        + torque_queue(
            "day",
            "queue_type = Execution",
            "from_route_only = True",
            "resources_max.procct = 4",
            "resources_max.walltime = 08:00:00",
        )
        + torque_queue("nowhere", "queue_type = Route")
    )
    node = NODE.format(jobs="")
    assert read(Torque(), f"{text}<Data>{node}</Data>") == [
        Queue(
            "in",
            runtime=8 * 3600,
            cores=4,
            gpus=0,
            least_gpus=0,
            free_cores=16,
            all_cores=16,
            free_nodes=1,
            all_nodes=1,
        )
    ]


def test_the_slots_that_jobs_of_torque_use_are_counted_in_all_their_forms():
    node = NODE.format(jobs="0-1/403.head,3,5-6/404.head")
    text = f"{torque_queue('batch')}<Data>{node}</Data>"
    assert read(Torque(), text)[0].free_cores == 11


def test_a_node_of_torque_that_cannot_be_read_costs_only_itself():
    nodes = "<Node><np>many</np></Node>" + NODE.format(jobs="")
    assert read(Torque(), f"{torque_queue('batch')}<Data>{nodes}</Data>")[0].all_nodes == 1


FULL = {"free_cores": 0, "all_cores": 4, "free_nodes": 0, "all_nodes": 1}


def test_a_queue_of_lsf_has_its_limits_and_all_hosts_and_a_full_one_has_nothing_free():
    assert answer(LSF().availability(), "lsf", "queues") == [
        Queue("short", runtime=600, cores=4, **FULL)
    ]


IBM = """
QUEUE: normal
  -- For normal jobs, with a RUNLIMIT.  This is the default queue.

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV PJOBS
 30    0  Open:Active       -    -    -    -     0     0     0     0     0    0     0
Interval for a host to accept two jobs is 0 seconds

DEFAULT LIMITS:
 RUNLIMIT
 60.0 min
 MEMLIMIT
     512 M

MAXIMUM LIMITS:
 CPULIMIT              RUNLIMIT
 2880.0 min            1440.0 min of node1

 FILELIMIT DATALIMIT  MEMLIMIT
   20000 K   20000 K     1.5 G

 TASKLIMIT
 1 2 3

SCHEDULING PARAMETERS
           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem
 loadSched   -     -     -     -       -     -    -     -     -      -      -

USERS: all
HOSTS:  all
------------------------------------------------------------------------------

QUEUE: closed

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV PJOBS
 30    0  Closed:Inact_Adm  -    -    -    -     0     0     0     0     0    0     0

USERS: all
HOSTS:  all
"""
HOSTS = """HOST_NAME          STATUS          JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV
node1              closed_Full     -        4      4      4      0      0      0
"""


def test_the_maximum_limits_of_a_queue_of_lsf_count_and_its_defaults_do_not():
    # The form is that of https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bqueues
    assert read(LSF(), IBM + HOSTS) == [
        Queue("normal", runtime=86400, cores=3, memory=3 * 2**29, **FULL),
        Queue("closed", is_open=False, cores=4, **FULL),
    ]
