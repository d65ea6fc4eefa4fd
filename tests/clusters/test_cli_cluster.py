"""The command `batchspawner cluster` starts, lists and stops clusters."""

from __future__ import annotations

import dataclasses
import os

import ipyparallel as ipp
import pytest

from batchspawner.cli.__main__ import main
from batchspawner.clusters import listing
from batchspawner.clusters.folders import ClusterRecord, JobFolder
from tests.hubs import wait_for

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NONE = "There is no cluster; start one with: batchspawner cluster start ENGINES\n"


def batchspawner(capsys, *words):
    """Run the command; return its exit status and what it printed."""
    status = main(["cluster", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_cluster_is_started_listed_and_stopped(place, capsys):
    status, out, err = batchspawner(capsys, "start", "1", "--wait", "--runtime=10m")
    (job_id,) = place.jobs()
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"Job {job_id} was submitted to the local queue."
    with ipp.Client(profile=f"job_{job_id}") as rc:
        assert rc.ids == [0]
    table = batchspawner(capsys, "list")[1].splitlines()
    assert [line.split() for line in table] == [
        ["JOB", "ENGINES", "SCHEDULER", "PROFILE", "STATE"],
        [job_id, "1", "local", f"job_{job_id}", "running"],
    ]
    assert batchspawner(capsys, "stop", job_id) == (
        0,
        f"Stopped the cluster of job {job_id}.\n",
        "",
    )
    assert (place.jobs(), place.left()) == ({}, [])
    assert batchspawner(capsys, "list") == (0, NONE, "")


def test_a_cluster_is_among_the_jobs_of_its_user(place, capsys, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(place.folder / "calls"))
    batchspawner(capsys, "start", "1")
    (job_id,) = place.jobs()
    assert main(["jobs", "list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()[1:]
    words = line.split()
    assert (words[0], words[1], words[-2:]) == (job_id, "local", ["clusters", "ipcluster"])
    assert main(["jobs", "cancel", f"local:{job_id}"]) == 0
    wait_for(lambda: place.jobs() == {}, 20, "the end of the job")
    assert batchspawner(capsys, "stop", f"local:{job_id}")[0] == 0
    assert place.left() == []


def test_a_cluster_whose_scheduler_is_silent_is_listed_as_such(
    place, capsys, tmp_path, monkeypatch
):
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    (commands / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(listing, "QUERY_TIMEOUT_S", 0.5)
    folder = JobFolder.create()
    ClusterRecord(folder, "slurm", "tag", 1, str(place.profiles), "17").write()
    status, out, _ = batchspawner(capsys, "list")
    assert (status, out.splitlines()[1].split(None, 4)[4]) == (1, "its scheduler does not answer")
    folder.remove()


def test_what_ended_jobs_have_left_is_removed(place, capsys):
    place.fill(seconds=60)
    batchspawner(capsys, "start", "1")
    waiting = next(job for job, state in place.jobs().items() if state != "RUNNING")
    batchspawner(capsys, "stop", "--ended")
    assert len(place.left()) == 1
    place.queue("cancel", waiting)
    wait_for(lambda: waiting not in place.jobs(), 20, "the end of the job")
    assert batchspawner(capsys, "stop", "--ended") == (0, "", "")
    assert place.left() == []


def test_a_cluster_whose_submitter_died_is_found_by_its_tag(place, capsys):
    batchspawner(capsys, "start", "1")
    (job_id,) = place.jobs()
    (folder,) = (place.data / "clusters").iterdir()
    (folder / "job_id").unlink()
    dataclasses.replace(JobFolder(folder).record(), job_id="").write()
    assert batchspawner(capsys, "list")[1].splitlines()[1].split()[0] == job_id
    assert batchspawner(capsys, "stop", "--all") == (
        0,
        f"Stopped the cluster of job {job_id}.\n",
        "",
    )
    assert (place.jobs(), place.left()) == ({}, [])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("start", "0"), "n: 0 is not allowed; write a whole number from 1"),
        (("start", "1", "--resource", "fast"), "--resource 'fast' is not of the form NAME=VALUE"),
        (("start", "1", "--nodes=0"), "nodes: 0 is not allowed; write a whole number from 1"),
        (("stop",), "name the clusters: JOBID, --all or --ended; see: batchspawner cluster list"),
        (("stop", "77"), "there is no cluster in job 77; see: batchspawner cluster list"),
    ],
)
def test_a_mistake_is_explained(place, capsys, words, error):
    assert batchspawner(capsys, *words) == (1, "", f"batchspawner cluster: {error}\n")
    assert place.left() == []
