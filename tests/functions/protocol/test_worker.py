"""The worker of a job that is started again, and incomplete frames."""

from __future__ import annotations

import contextlib
import io
import os
import signal
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


def interrupted(folder, text):
    """Note that the call has begun, and get the signal with which LSF cancels a job."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        note(f"{folder}/notes", "not interrupted")
    finally:
        note(f"{folder}/notes", text)


def test_a_worker_that_is_interrupted_lets_the_call_clean_up_and_dies_of_it(tmp_path):
    calls = [make_call(interrupted, (str(tmp_path), text), {}) for text in ("first", "second")]
    frames = [one.frame(number) for number, one in enumerate(calls)]
    (tmp_path / "calls").write_bytes(b"".join([welcome(), calls[0].function.frame(), *frames]))
    assert run(tmp_path) == -signal.SIGINT
    assert (notes(tmp_path), answers(tmp_path)) == (["first"], ([("hello", None)], True))


def raise_interrupt():
    raise KeyboardInterrupt("of its own")


def test_a_call_that_raises_keyboard_interrupt_without_a_signal_has_raised_it(tmp_path):
    call = make_call(raise_interrupt, (), {})
    (tmp_path / "calls").write_bytes(b"".join([welcome(), call.function.frame(), call.frame(0)]))
    assert (run(tmp_path), answers(tmp_path)) == (1, ([("hello", None), ("error", 0)], True))


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


ENDING = {
    "exit status": (tasks.leave_with, (7,), 7),
    "success": (tasks.leave_with, (0,), 0),
    "signal": (tasks.die, (signal.SIGSEGV,), -signal.SIGSEGV),
    "kill": (tasks.die, (signal.SIGKILL,), -signal.SIGKILL),
}


@pytest.mark.parametrize(("function", "arguments", "code"), ENDING.values(), ids=ENDING)
def test_a_call_that_ends_its_process_fails_alone(tmp_path, function, arguments, code):
    calls = [
        make_call(tasks.speak, ("before",), {}),
        make_call(function, arguments, {}),
        make_call(tasks.speak, ("after",), {}),
        make_call(function, arguments, {}),
    ]
    frames = [one.function.frame() + one.frame(number) for number, one in enumerate(calls)]
    (tmp_path / "calls").write_bytes(b"".join([welcome(), *frames]))
    assert run(tmp_path) == 1
    hello = ("hello", None)
    assert answers(tmp_path) == (
        [hello, ("result", 0), ("error", 1), hello, ("result", 2), ("error", 3)],
        True,
    )
    with (tmp_path / "results").open("rb") as results:
        codes = [header["code"] for header, _ in worker.frames(results) if "code" in header]
    assert codes == [code, code]
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    assert (tmp_path / "output").read_text().splitlines() == [
        "before",
        f"batchspawner: call 2 has ended its process with {how}",
        "after",
        f"batchspawner: call 4 has ended its process with {how}",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGXCPU, signal.SIGUSR2])
def test_a_job_that_is_being_ended_does_no_other_call(tmp_path, number):
    begun, go = str(tmp_path / "begun"), str(tmp_path / "go")
    calls = [make_call(tasks.touch_and_wait, (begun, go), {}), make_call(tasks.speak, ("no",), {})]
    frames = [one.function.frame() + one.frame(number) for number, one in enumerate(calls)]
    (tmp_path / "calls").write_bytes(b"".join([welcome(), *frames]))
    argv = [sys.executable, worker.__file__, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        tasks.wait_for_file(begun)
        os.killpg(process.pid, number)
        assert process.wait(tasks.SECONDS) == -number
    assert answers(tmp_path) == ([("hello", None)], True)


LEFT_BEHIND = {"thread": tasks.leave_thread, "process": tasks.leave_process}


@pytest.mark.parametrize("function", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_a_call_leaves_behind_does_not_keep_its_job(tmp_path, monkeypatch, function):
    monkeypatch.setenv("BATCHSPAWNER_FUNCTIONS_GRACE", "0.5")
    call = make_call(function, (), {})
    frames = [welcome(), call.function.frame(), call.frame(0)]
    (tmp_path / "calls").write_bytes(b"".join(frames))
    assert run(tmp_path) == 0
    assert answers(tmp_path) == ([("hello", None), ("result", 0)], True)
    assert (tmp_path / "output").read_text() == (
        "batchspawner: all calls are done; ended what still ran 0.5 s later "
        "(BATCHSPAWNER_FUNCTIONS_GRACE): left behind\n"
    )


def test_what_a_call_leaves_behind_may_end_in_the_grace_period(tmp_path):
    noted = tmp_path / "noted"
    call = make_call(tasks.note_in_thread, (str(noted),), {})
    (tmp_path / "calls").write_bytes(b"".join([welcome(), call.function.frame(), call.frame(0)]))
    assert run(tmp_path) == 0
    assert noted.read_text() == "noted"


@pytest.mark.parametrize(("how", "status"), tasks.FORKS.items())
def test_a_process_that_a_call_has_forked_ends_with_the_call_and_sends_nothing(
    tmp_path, how, status
):
    call = make_call(tasks.fork_and_end, (how,), {})
    (tmp_path / "calls").write_bytes(b"".join([welcome(), call.function.frame(), call.frame(0)]))
    assert run(tmp_path) == 0
    with (tmp_path / "results").open("rb") as results:
        assert [data for _, data in worker.frames(results)] == [b"", b"%d" % status]
    if how in ("raise", "last words"):
        said = {"raise": "ValueError: of the child", "last words": "last words"}[how]
        assert (tmp_path / "output").read_text().splitlines()[-1] == said


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
