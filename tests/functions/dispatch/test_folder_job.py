"""Results of a job are read from its folder while the job writes them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from batchspawner.errors import BatchError, JobFailed
from batchspawner.functions import (
    BatchDispatcher,
    CannotTravel,
    JobBundling,
    set_dispatcher,
    slurmify,
)
from batchspawner.functions.dispatch.folder_job import FolderJob
from batchspawner.functions.function_job import FunctionJob
from batchspawner.functions.futures import JobFuture
from batchspawner.functions.protocol import worker
from batchspawner.functions.protocol.payload import make_call
from tests.functions import tasks

RESULT = worker.pack({"type": "result", "id": 0, "form": "json"}, b'"value"')


@pytest.mark.parametrize("written", [1, 12, len(RESULT) - 1])
async def test_a_result_that_is_half_written_is_read_when_it_is_complete(written, tmp_path):
    future = JobFuture()
    job = FolderJob(SimpleNamespace(), FunctionJob(None, Path(tmp_path), "17", [future]))
    (tmp_path / "results").write_bytes(worker.pack({"type": "hello", "python": [3, 9, 0]}))
    with (tmp_path / "results").open("ab", buffering=0) as results:
        results.write(RESULT[:written])
        job._read_results()
        assert not future.done()
        results.write(RESULT[written:])
        job._read_results()
    assert future.result(0) == "value"


def spoil_results(how):
    """Write what nobody can read to where the results of this job are."""
    folder = Path(Path("/proc/self/cmdline").read_bytes().split(b"\0")[-2].decode())
    results = folder / "results"
    if how == "pipe":
        results.unlink()
        os.mkfifo(results)
    elif how == "link":
        results.unlink()
        results.symlink_to("/dev/zero")
    else:
        with results.open("ab", buffering=0) as file:
            file.write(how)


@pytest.mark.parametrize(
    "how",
    [
        b"\0" * 100,
        worker.pack(["result"]),
        worker.pack({"type": "result"}),
        worker.pack({"type": "result", "id": []}),
        worker.pack({"type": "error", "form": "crash", "id": 0}),
        "pipe",
        "link",
    ],
    ids=["zeros", "no object", "no number", "a list", "half an end", "pipe", "link"],
)
def test_no_call_waits_for_results_that_nobody_can_read(how, queue):
    set_dispatcher(BatchDispatcher("local"))
    try:
        error = slurmify(spoil_results).distribute(how).exception(tasks.SECONDS)
        assert isinstance(error, BatchError)
        if isinstance(how, bytes):
            assert str(error).startswith("the results of job ")
    finally:
        set_dispatcher(None)


def test_a_pickle_of_a_future_says_what_to_do_instead(tmp_path):
    with pytest.raises(TypeError) as raised:
        pickle.dumps(JobFuture())
    assert str(raised.value) == "a future stays in its process; hand over its result()"
    job = FunctionJob(SimpleNamespace(), tmp_path, "4711")
    job.futures = [JobFuture(job)]
    with pytest.raises(CannotTravel) as raised:
        make_call(tasks.speak, ([job.futures[0]],), {})
    assert str(raised.value) == (
        "argument 1 (text) of speak: [0], a JobFuture, cannot be sent to another process "
        "(TypeError: a future stays in its process; hand over its result(), or its job id (4711), "
        "for attach(job_id) there). Make it inside the function, or hand over what it is made from."
    )


def test_the_calls_of_a_bundle_behind_one_that_ends_its_process_are_done(queue):
    leave, speak = slurmify(tasks.leave_with), slurmify(tasks.speak)
    set_dispatcher(BatchDispatcher("local"))
    try:
        with JobBundling(max_size=3):
            futures = [speak.distribute("a"), leave.distribute(7), speak.distribute("b")]
        error = futures[1].exception(tasks.SECONDS)
        assert (type(error), error.status.exit_code) == (JobFailed, 7)
        # The call behind it may have printed its line, too.
        assert "\nbatchspawner: call 2 has ended its" in f"\n{error.log_tail}"
        assert [one.result(tasks.SECONDS) for one in (futures[0], futures[2])] == ["a", "b"]
        assert futures[1].log() == (
            "a\nbatchspawner: call 2 has ended its process with exit status 7\nb\n"
        )
    finally:
        set_dispatcher(None)
