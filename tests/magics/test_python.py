"""Python cells, in a process of this machine; test_job.py has them in jobs."""

from __future__ import annotations

import sys

import pytest

from batchspawner.magics import worker
from batchspawner.magics.record import Message, MessageExtractor


def test_a_cell_in_python_prints_what_its_last_expression_is_worth(notebook):
    out, err = notebook.run("%%execute --python\nprint('begin')\n[6 * 7]")
    assert (out, err) == ("begin\n[42]\n", "")


def test_variables_go_in_and_come_out(notebook):
    notebook.run("a, b = [1, 2], 'x'")
    out, err = notebook.run("%%execute --python --in a,b --out c,d\nc = {b: a}\nd = len(a)")
    assert (out, err, notebook["c"], notebook["d"]) == ("", "", {"x": [1, 2]}, 2)


@pytest.mark.parametrize(
    "ending",
    ["import sys; sys.exit()", "raise SystemExit(0)", "sys.stdout.close()", "sys.stdout = None"],
)
def test_variables_of_a_cell_that_succeeded_come_out(notebook, ending):
    notebook.run("a = 1")
    _, err = notebook.run(f"%%execute --python --out a\nimport sys\na = 2\n{ending}")
    assert (err, notebook.result.success, notebook["a"]) == ("", True, 2)


@pytest.mark.parametrize(
    "ending", ["", "    sys.exit(0)", "    1 / 0"], ids=["end", "exit", "error"]
)
def test_a_process_that_a_cell_has_forked_sends_no_variables(notebook, ending):
    notebook.run(
        "%%execute --python --out a\nimport os, sys\na, child = 1, os.fork()\n"
        f"if child:\n    os.waitpid(child, 0)\nelse:\n    a = 2\n{ending}"
    )
    assert (notebook.result.success, notebook["a"]) == (True, 1)


def test_variables_of_a_cell_that_exits_with_a_failure_do_not(notebook):
    notebook.run("a = 1")
    notebook.run("%%execute --python --out a\nimport sys\na = 2\nsys.exit(3)")
    assert (notebook.result.success, notebook["a"]) == (False, 1)


def test_functions_and_classes_of_either_side_travel(notebook):
    notebook.run("class Point:\n    x = 1\ndef add(n): return n + Point.x")
    notebook.run(
        "%%execute --python --in add --out twice,Other\n"
        "class Other: value = add(4)\n"
        "def twice(n): return 2 * n + Other.value"
    )
    assert notebook.run("print(twice(10), Other().value)") == ("25 5\n", "")


def test_an_error_shows_the_lines_of_the_cell_and_fails_the_notebooks(notebook):
    notebook.run("value = 1")
    out, err = notebook.run("%%execute --python --out value\nvalue = 2\n1 / 0")
    assert not notebook.result.success
    assert out == "exit status 1\n"
    lines = err.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "<cell>", line 2, in <module>',
        "    1 / 0",
    ]
    assert lines[-2] == "ZeroDivisionError: division by zero"
    assert lines[-1].startswith("UsageError: ")
    assert notebook["value"] == 1


def test_a_syntax_error_is_told_before_anything_runs(notebook):
    notebook.run("%%execute --python --amgr=cell\nprint('never')\nif")
    assert type(notebook.result.error_in_exec) is SyntaxError
    assert "cell" not in notebook.shell.user_ns


def test_a_cell_can_await(notebook):
    body = "import asyncio\nlock = asyncio.Lock()\nawait lock.acquire()\nawait asyncio.sleep(0, 7)"
    assert notebook.run(f"%%execute --python\n{body}") == ("7\n", "")


def test_a_variable_that_does_not_exist_is_named(notebook):
    _, err = notebook.run("%%execute --python --in nowhere\npass")
    assert err == "UsageError: --in: 'nowhere' is not allowed; there is no such variable\n"
    _, err = notebook.run("%%execute --python --out missing\npass")
    assert err.splitlines()[0] == (
        "NameError: --out missing: the cell has made no variable of that name"
    )


def test_a_variable_that_cannot_travel_is_named(notebook):
    notebook.run("import threading; good, lock = 1, threading.Lock()")
    _, err = notebook.run("%%execute --python --in good,lock\npass")
    assert err.startswith("UsageError: --in lock: it cannot be sent (")
    _, err = notebook.run("%%execute --python --out lock\nimport threading; lock=threading.Lock()")
    assert "TypeError: --out lock: it cannot be sent (" in err


def test_values_of_a_cell_in_the_background_are_there_in_a_later_cell(notebook):
    notebook.run("%%execute --python --bg --amgr=cell --out c\nc = 5")
    notebook["cell"].wait_progress(silent=True)
    assert notebook["c"] == 5
    notebook.run("%%execute --python --bg --amgr=cell --out c\nc = 6")
    while not notebook["cell"].finished:
        notebook["cell"].record.wait(-1, 1)
    assert notebook.run("print(c)") == ("6\n", "")


def test_another_python_can_be_chosen(notebook):
    line = f"%%execute --python --shell='{sys.executable} -O'"
    assert notebook.run(f"{line}\nprint(__debug__)") == ("False\n", "")


def test_the_output_may_have_any_bytes(notebook):
    notebook.run("%%execute --python --amgr=cell --out c\nprint('\\0 ä', end='\\0')\nc = 1")
    assert (notebook["cell"].log(), notebook["c"]) == ("\0 ä\0", 1)


def test_large_values_travel(notebook):
    notebook.run("a = bytes(20_000_000)")
    notebook.run("%%execute --python --in a --out b\nb = a + b'x'")
    assert len(notebook["b"]) == 20_000_001


def test_a_cell_that_ends_without_its_results_is_an_error(notebook):
    _, err = notebook.run("%%execute --python --out c\nimport os\nc = 1\nos._exit(0)")
    assert err == "UsageError: what the cell gives (c) is not all there\n"
    assert "c" not in notebook.shell.user_ns


def chunk(data: bytes, *, is_last: bool) -> bytes:
    return b"\0mark" + bytes([is_last]) + len(data).to_bytes(2, "big") + data


def extracted(data: bytes, size: int) -> tuple[bytes, list[Message]]:
    """Return the text and the messages of an output that comes in pieces of a size."""
    extractor = MessageExtractor(b"\0mark")
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = [one for piece in pieces for one in extractor.feed(piece)]
    text = b"".join(one for one in found if isinstance(one, bytes)) + extractor.end()
    return text, [one for one in found if isinstance(one, Message)]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_messages_are_found_in_pieces_of_any_size(size):
    first = chunk(b"R" + worker.digest(b"abc") + b"a", is_last=False)
    last = chunk(b"bc", is_last=True)
    other = chunk(b"D" + worker.digest(b"") + b"", is_last=True)
    data = b"before\0ma\0" + first + b"between" + last + other + b"after"
    text = b"before\0ma\0betweenafter"
    assert extracted(data, size) == (text, [Message(b"R", b"abc"), Message(b"D", b"")])


@pytest.mark.parametrize("size", [1, 100])
def test_what_looked_like_a_message_and_was_none_is_shown(size):
    assert extracted(b"a\0ma", size) == (b"a\0ma", [])
    assert extracted(b"a\0mark\0", size) == (b"a", [])
    assert extracted(chunk(b"R" + bytes(16) + b"wrong checksum", is_last=True), size) == (b"", [])
