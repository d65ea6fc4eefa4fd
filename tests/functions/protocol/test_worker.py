"""The worker of a job that is started again, and incomplete frames."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import pytest

from batchspawner.functions.protocol import worker
from batchspawner.functions.protocol.frames import take_frames
from batchspawner.functions.protocol.payload import make_call, welcome
from tests.functions import tasks

FRAMES = [
    ({"type": "hello"}, b""),
    ({"type": "result", "id": 0}, b"first"),
    ({"type": "error", "id": 1}, b"second"),
]
STREAM = b"".join(worker.pack(*frame) for frame in FRAMES)
ENDS = [len(worker.pack(*FRAMES[0])), len(STREAM) - len(worker.pack(*FRAMES[2])), len(STREAM)]


def note(path, text):
    with open(path, "a") as notes:
        notes.write(f"{text}\n")
    if text == "fails":
        raise ValueError(text)
    return text


@pytest.fixture
def job(tmp_path):
    """The folder of a job with three calls, each of which writes a line into ``notes``."""
    calls = [make_call(note, (str(tmp_path / "notes"), text), {}) for text in ("a", "fails", "c")]
    frames = [one.frame(number) for number, one in enumerate(calls)]
    (tmp_path / "calls").write_bytes(b"".join([welcome(), calls[0].function.frame(), *frames]))
    return tmp_path


def run(folder):
    """Run the worker of a job as its agent does; return its exit status."""
    argv = [sys.executable, worker.__file__, str(folder)]
    return subprocess.run(argv, capture_output=True, timeout=60).returncode


def answers(folder):
    """Return the type and the number of each answer, and whether nothing follows the last one."""
    with (folder / "results").open("rb") as results:
        found = [(header["type"], header.get("id")) for header, _ in worker.frames(results)]
        return found, results.read() == b"" and results.tell() == os.path.getsize(results.name)


def notes(folder):
    return (folder / "notes").read_text().split()


ALL = [("hello", None), ("result", 0), ("error", 1), ("result", 2)]


def test_a_job_that_is_started_again_does_not_repeat_the_calls_that_have_ended(job):
    assert [run(job), run(job)] == [1, 1]
    assert (notes(job), answers(job)) == (["a", "fails", "c"], ([*ALL, ("hello", None)], True))


def test_a_job_that_is_started_again_goes_on_with_the_call_that_it_was_at(job):
    run(job)
    with (job / "results").open("r+b") as results:
        frames = worker.frames(results)
        _ = next(frames), next(frames)
        results.truncate()
    (job / "notes").unlink()
    assert run(job) == 1
    assert notes(job) == ["fails", "c"]
    assert answers(job) == ([*ALL[:2], ("hello", None), *ALL[2:]], True)


@pytest.mark.parametrize("missing", [1, 30])
def test_a_half_written_result_is_dropped_and_its_call_is_repeated(job, missing):
    run(job)
    results = job / "results"
    results.write_bytes(results.read_bytes()[:-missing])
    (job / "notes").unlink()
    assert run(job) == 1
    assert (notes(job), answers(job)) == (["c"], ([*ALL[:3], ("hello", None), ALL[3]], True))


HARMFUL = {
    "text": (tasks.raise_wordless, "error"),
    "closed": (tasks.close_output, "result"),
    "removed": (tasks.remove_output, "result"),
}


@pytest.mark.parametrize(("function", "told"), HARMFUL.values(), ids=HARMFUL)
def test_what_a_call_does_to_its_process_costs_no_other_call_its_result(tmp_path, function, told):
    calls = [make_call(function, (), {}), make_call(tasks.speak, ("after",), {})]
    frames = [one.function.frame() + one.frame(number) for number, one in enumerate(calls)]
    (tmp_path / "calls").write_bytes(b"".join([welcome(), *frames]))
    run(tmp_path)
    assert answers(tmp_path) == ([("hello", None), (told, 0), ("result", 1)], True)
    assert (tmp_path / "output").read_text().splitlines()[-1] == "after"


@pytest.mark.parametrize("length", range(len(STREAM) + 1))
def test_only_complete_frames_are_read(length):
    complete = FRAMES[: sum(end <= length for end in ENDS)]
    buffer = bytearray(STREAM[:length])
    assert list(worker.frames(io.BytesIO(buffer))) == complete
    assert take_frames(buffer) == complete
    assert bytes(buffer) == STREAM[([0, *ENDS])[len(complete)] : length]


@pytest.fixture
def pipes():
    """Both ends of the calls and of the results of a queue of frames."""
    with contextlib.ExitStack() as opened:

        def pipe():
            read, write = os.pipe()
            return (
                opened.enter_context(os.fdopen(read, "rb")),
                opened.enter_context(os.fdopen(write, "wb", buffering=0)),
            )

        yield pipe(), pipe()


def test_calls_that_have_not_begun_are_given_back_and_functions_stay(pipes):
    (calls, caller), (results, worker_results) = pipes
    queue, answers = worker.FrameQueue(calls, worker_results), worker.frames(results)
    numbered = [{"type": "call", "id": number} for number in range(4)]
    functions = [{"type": "function", "key": key} for key in "ab"]
    for header in (numbered[0], functions[0], numbered[1], functions[1], *numbered[2:]):
        caller.write(worker.pack(header))
    begun = iter(queue)
    assert next(begun)[0] == numbered[0]
    caller.write(worker.pack({"type": "give back"}))
    assert next(answers)[0] == {"type": "given back", "ids": [3, 2, 1]}
    caller.write(worker.pack(numbered[1]))
    caller.close()
    assert [header for header, _ in begun] == [*functions, numbered[1]]
