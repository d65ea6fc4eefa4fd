"""ipyparallel starts controllers and engines as jobs of the embedded queue."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time

import ipyparallel as ipp
import pytest
from ipyparallel.cluster.launcher import find_launcher_class
from ipyparallel.traitlets import entry_points

from batchspawner.client.batch_client import BatchClient
from batchspawner.client.blocking_client import run, start
from batchspawner.clusters import job_launcher, launchers
from batchspawner.clusters.cluster_job import ClusterJob
from batchspawner.clusters.folders import JobFolder
from batchspawner.errors import SubmitError
from batchspawner.schedulers import scheduler_names
from tests.hubs import wait_for

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def cluster(place, **kwargs):
    return ipp.Cluster(
        engines="batchspawner",
        profile_dir=str(place.profiles / "profile_test"),
        controller_args=["--HeartMonitor.period=300"],
        delay=0,
        **kwargs,
    )


@pytest.mark.parametrize("kind", ["controller", "engine"])
def test_each_name_leads_to_a_launcher_for_its_scheduler(kind):
    known = entry_points(group=f"ipyparallel.{kind}_launchers")
    named = {f"batch-{name}": name for name in scheduler_names()}
    wanted = {"batchspawner": "auto", **named}
    # A name that somebody else has, too, leads there as well as here, as "batch" does.
    ours = [one.name for one in known if one.name in wanted]
    assert sorted(ours) == sorted(wanted)
    found = {name: find_launcher_class(name, kind) for name in wanted}
    assert {name: one().scheduler for name, one in found.items()} == wanted
    assert all(issubclass(one, job_launcher.JobLauncher) for one in found.values())


def test_engines_join_from_one_job(place):
    with cluster(place, n=2) as rc:
        assert len(set(rc[:].apply_sync(os.getpid))) == 2
        assert list(place.jobs().values()) == ["RUNNING"]
    assert (place.jobs(), place.left()) == ({}, [])


def test_engines_have_our_folder_and_environment(place, tmp_path, monkeypatch):
    folder = tmp_path / "it's here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OF_MINE", "a 'b' \\ $c\nü")
    monkeypatch.setenv("IPP_OF_OTHERS", "not for this cluster")
    with cluster(place, n=1, controller="batchspawner") as rc:
        rc[0].execute("import os; env = os.environ", block=True)
        found = rc[0].apply_sync(eval, "os.getcwd(), env['OF_MINE'], env.get('IPP_OF_OTHERS')")
        assert found == (str(folder), "a 'b' \\ $c\nü", None)


def test_engines_run_in_the_folder_of_their_launcher(place, tmp_path, monkeypatch):
    submitted = []

    async def submit(program, *arguments):
        submitted.append(arguments)
        raise SubmitError("enough")

    monkeypatch.setattr(job_launcher, "_submit", submit)
    engines = launchers.JobEngineSetLauncher(scheduler="local", work_dir=str(tmp_path))
    with pytest.raises(SubmitError):
        asyncio.run(engines.start(1))
    assert submitted[0][3] == str(tmp_path)


@pytest.mark.parametrize(
    ("scheduler", "interface", "warned"),
    [
        ("slurm", "tcp://127.0.0.1", True),
        ("slurm", "tcp://localhost", True),
        ("slurm", "tcp://*", False),
        ("slurm", "tcp://10.0.0.7", False),
        ("local", "tcp://127.0.0.1", False),
    ],
)
def test_a_controller_that_no_engine_can_reach_is_told(
    monkeypatch, tmp_path, caplog, scheduler, interface, warned
):
    async def submit(_, program, *, tasks):
        raise SubmitError("enough")

    monkeypatch.setattr(job_launcher.JobLauncher, "_submit", submit)
    (tmp_path / "security").mkdir()
    file = tmp_path / "security" / "ipcontroller-engine.json"
    file.write_text(json.dumps({"interface": interface}))
    log = logging.getLogger("test of launchers")
    engines = launchers.JobEngineSetLauncher(
        scheduler=scheduler, profile_dir=str(tmp_path), log=log
    )
    with pytest.raises(SubmitError):
        asyncio.run(engines.start(1))
    assert ("controller_ip='*'" in caplog.text) is warned


def test_engines_join_from_several_jobs_where_there_are_no_arrays(place):
    one = cluster(place, n=2)
    one.config.JobEngineSetLauncher.engines_per_job = 1
    with one as rc:
        assert rc.ids == [0, 1]
        assert list(place.jobs().values()) == ["RUNNING", "RUNNING"]
    assert (place.jobs(), place.left()) == ({}, [])


@pytest.mark.parametrize(
    ("engines_per_job", "submits"),
    [(0, [(1, 11)]), (2, [(5, 2), (1, 1)]), (1, [(5, 1), (5, 1), (1, 1)])],
)
def test_engines_come_in_as_large_arrays_as_the_site_allows(monkeypatch, engines_per_job, submits):
    accepted = []

    async def submit(_, program, *, tasks):
        if program.elements > 5:
            raise SubmitError("Invalid job array specification")
        accepted.append((program.elements, program.n))

    monkeypatch.setattr(job_launcher.JobLauncher, "_submit", submit)
    engines = launchers.JobEngineSetLauncher(scheduler="slurm", engines_per_job=engines_per_job)
    asyncio.run(engines.start(11))
    assert accepted == submits


def test_an_array_that_is_refused_for_another_reason_is_refused(monkeypatch):
    async def submit(_, program, *, tasks):
        raise SubmitError("Invalid account")

    monkeypatch.setattr(job_launcher.JobLauncher, "_submit", submit)
    engines = launchers.JobEngineSetLauncher(scheduler="slurm", engines_per_job=1)
    with pytest.raises(SubmitError, match="Invalid account"):
        asyncio.run(engines.start(4))


def test_an_array_runs_when_all_its_elements_have_started(place):
    job_id, folder = place.fill(seconds=60), JobFolder.create()

    async def follow():
        return ClusterJob(BatchClient("local"), job_id, folder, elements=2)

    job = run(follow())
    (folder.path / "element.1").write_text("one\n")
    started = start(job.running())
    wait_for(lambda: job.status is not None, 20, "the job")
    assert not started.done()
    (folder.path / "element.2").write_text("two\n")
    assert started.result(20).state.value == "running"
    assert folder.log_tail() == "one\ntwo"
    run(job.close())
    folder.remove()


def test_ipcluster_starts_and_stops_them_too(place):
    profile = f"--profile-dir={place.profiles / 'profile_test'}"
    command = [sys.executable, "-m", "ipyparallel.cluster"]
    started = [*command, "start", "--n=2", "--engines=batchspawner", profile, "--daemonize"]
    subprocess.run(started, check=True, capture_output=True, timeout=60)
    with ipp.Client(profile_dir=str(place.profiles / "profile_test")) as rc:
        rc.wait_for_engines(2, timeout=60, interactive=False)
        assert rc[:].apply_sync(abs, -3) == [3, 3]
    assert list(place.jobs().values()) == ["RUNNING"]
    subprocess.run([*command, "stop", profile], check=True, capture_output=True, timeout=60)
    wait_for(lambda: place.jobs() == {}, 30, "the end of the job")
    assert place.left() == []


def test_controller_and_engines_are_jobs_of_their_own(place):
    with cluster(place, n=1, controller="batch-local") as rc:
        assert rc[:].apply_sync(abs, -3) == [3]
        assert list(place.jobs().values()) == ["RUNNING", "RUNNING"]
    assert (place.jobs(), place.left()) == ({}, [])


def test_a_timeout_of_the_engines_does_not_count_in_the_queue(place):
    filler = place.fill(seconds=4)
    with cluster(place, n=1, engine_timeout=20) as rc:
        assert filler not in place.jobs()
        assert rc.ids == [0]


def test_engines_that_cannot_start_say_why(place):
    one = cluster(place, n=1)
    one.config.JobEngineSetLauncher.engine_args = ["--no-such-option=1"]
    with pytest.raises(Exception, match="exit status 2") as caught, one:
        pass
    assert "unrecognized arguments: --no-such-option=1" in str(caught.value)
    one.stop_cluster_sync()
    assert place.left() == []


def test_a_killed_job_is_seen(place):
    one = cluster(place, n=1)
    with one as rc:
        engines = one.engine_set
        (job_id,) = place.jobs()
        place.queue("cancel", job_id)
        wait_for(lambda: engines.state == "after", 20, "the end of the engines")
        assert engines.poll() == -15
        rc.close()


def test_another_process_takes_up_the_jobs(place):
    one = cluster(place, n=1)
    one.start_cluster_sync()
    other = ipp.Cluster.from_file(one.cluster_file)
    assert (other.engine_set.state, other.engine_set.poll()) == ("running", None)
    other.stop_cluster_sync()
    wait_for(lambda: one.engine_set.state == "after", 20, "the end in the first process")
    one.stop_cluster_sync()
    assert (place.jobs(), place.left()) == ({}, [])


def patient_cluster(place, **kwargs):
    """Return a cluster whose controller never misses an engine that is gone."""
    one = cluster(place, **kwargs)
    one.controller_args = [
        *one.controller_args,
        "--HeartMonitor.max_heartmonitor_misses=100000",
    ]
    return one


def test_after_a_restart_clients_see_the_new_engines_only(place):
    one = patient_cluster(place, n=2)
    with one as rc:
        before = rc[:].apply_sync(os.getpid)
        one.restart_engines_sync()
        rc.wait_for_engines(2, timeout=60, interactive=False)
        assert len(rc.ids) == 2
        after = rc[:].apply_async(os.getpid).get(timeout=60)
        assert set(after).isdisjoint(before)
    assert (place.jobs(), place.left()) == ({}, [])


def test_clients_do_not_count_engines_whose_job_was_killed(place):
    one = patient_cluster(place, n=1)
    with one as rc:
        (killed,) = place.jobs()
        other = one.start_engines_sync(1)
        rc.wait_for_engines(2, timeout=60, interactive=False)
        busy = rc[0].apply_async(time.sleep, 600)
        place.queue("cancel", killed)
        wait_for(lambda: rc.ids == [1], 60, "the end of the killed engine")
        with pytest.raises(ipp.RemoteError, match="Engine 0 died"):
            busy.get(timeout=60)
        assert rc[:].apply_sync(abs, -3) == [3]
        one.stop_engines_sync(other)
        wait_for(lambda: rc.ids == [], 60, "the end of the other engine")


def test_engines_of_a_controller_that_has_ended_stop_without_it(place):
    one = patient_cluster(place, n=1)
    one.start_cluster_sync()
    one.stop_controller_sync()
    one.stop_engines_sync()
    assert (place.jobs(), place.left()) == ({}, [])
