"""Files of jobs that cannot be written: a full disk, or a quota that is used up."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.job_origin import Origin
from batchspawner.clusters.cluster_job import ClusterJob
from batchspawner.clusters.folders import JobFolder
from batchspawner.clusters.program import ClusterProgram
from batchspawner.errors import BatchError
from batchspawner.functions import slurmify
from batchspawner.kernels.jobs.allocator import Allocator
from batchspawner.kernels.jobs.records import KernelCommand, KernelRecord
from batchspawner.kernels.settings import Settings
from tests.hubs import wait_for

if TYPE_CHECKING:
    from pathlib import Path

SUBMITTED = """#!/bin/sh
# As soon as the job is in the queue, there is no space for one of its files.
{python} -m batchspawner.localqueue "$@" || exit
[ "$1" != submit ] || for one in {folder}/*/; do ln -sf /dev/full "$one"{file}; done
"""


@pytest.fixture
def full(queue, tmp_path, monkeypatch):
    """Make one file unwritable in each folder of a parent folder, when a job has been submitted."""

    def fill(folder: Path, file: str) -> None:
        command = tmp_path / "bin" / "batchspawner-queue"
        command.parent.mkdir()
        command.write_text(SUBMITTED.format(python=sys.executable, folder=folder, file=file))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")

    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return fill


def unfinished() -> list[str]:
    """Return the ids of the jobs in the queue."""
    command = [sys.executable, "-m", "batchspawner.localqueue", "query"]
    listing = subprocess.run(command, capture_output=True, check=True)
    return [job["id"] for job in json.loads(listing.stdout)["jobs"]]


@contextlib.contextmanager
def small_files(length=1000):
    """Let no file of this process become longer than so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_call_whose_files_cannot_be_written_names_the_folder_and_leaves_none(full, tmp_path):
    folder = tmp_path / "calls" / "one"
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        CallFolder.create(folder)
    assert str(caught.value) == (
        "[Errno 27] File too large; BATCHSPAWNER_CALL_DIR can name another folder for the files "
        f"of jobs: '{folder}'"
    )
    assert not folder.exists()


def test_a_call_whose_arguments_cannot_be_written_names_the_folder(full, tmp_path):
    with small_files(), pytest.raises(OSError, match="BATCHSPAWNER_CALL_DIR can name") as caught:
        slurmify(len).distribute("x" * 100)
    assert str(tmp_path / "calls" / "functions") in str(caught.value)
    assert list((tmp_path / "calls" / "functions").iterdir()) == []


def test_a_call_is_followed_though_its_job_could_not_be_written_down(full, tmp_path, caplog):
    full(tmp_path / "calls" / "functions", "job.json")
    with caplog.at_level(logging.WARNING):
        future = slurmify(len).distribute("four")
    assert future.result(120) == 4
    text = f"Job {future.get_job_id()} is not listed by `batchspawner jobs`: cannot write "
    assert [line for line in caplog.messages if line.startswith(text)]
    assert caplog.messages[-1].endswith("/job.json: No space left on device")


async def test_the_job_of_a_kernel_that_cannot_be_written_down_is_cancelled(full, tmp_path):
    full(tmp_path / "calls" / "kernels", f"allocation.{os.getpid()}")
    allocator = Allocator()
    with pytest.raises(OSError, match="No space left on device; BATCHSPAWNER_CALL_DIR can name"):
        await allocator.join("k", Settings(scheduler="local"), "kernel", Origin())
    wait_for(lambda: not unfinished(), 60, "the end of the job")
    assert [one for one in (tmp_path / "calls" / "kernels").iterdir() if one.is_dir()] == []


def test_a_kernel_that_cannot_be_written_down_names_the_folder(tmp_path):
    (tmp_path / "kernel-k.new").symlink_to("/dev/full")
    record = KernelRecord("k", KernelCommand(("python3",), {}))
    with pytest.raises(OSError, match="BATCHSPAWNER_CALL_DIR can name another folder") as caught:
        record.write(tmp_path)
    assert caught.value.filename == str(tmp_path)


async def test_a_kernel_whose_allocation_cannot_be_written_down_leaves_none(full, tmp_path):
    allocator = Allocator()
    with small_files(1), pytest.raises(OSError, match="BATCHSPAWNER_CALL_DIR can name"):
        await allocator.join("k", Settings(scheduler="local"), "kernel", Origin())
    assert [one for one in (tmp_path / "calls" / "kernels").iterdir() if one.is_dir()] == []


async def test_the_job_of_a_cluster_that_cannot_be_written_down_is_cancelled(full, tmp_path):
    full(tmp_path / "data" / "batchspawner" / "clusters", "record.part")
    folder = JobFolder.create()
    with pytest.raises(BatchError) as caught:
        await ClusterJob.submit(
            ClusterProgram(), folder, scheduler="local", name="cluster", resources={}
        )
    assert str(caught.value) == (
        f"cannot write {folder.path}/record.json: No space left on device. "
        "Free some space, or set XDG_DATA_HOME to a folder that all nodes can see."
    )
    wait_for(lambda: not unfinished(), 60, "the end of the job")
