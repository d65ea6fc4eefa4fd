"""Results of a job are read from its folder while the job writes them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from batchspawner.functions.dispatch.folder_job import FolderJob
from batchspawner.functions.futures import JobFuture
from batchspawner.functions.job import FunctionJob
from batchspawner.functions.protocol import worker

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
