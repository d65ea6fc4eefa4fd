"""The embedded queue in a terminal, as docs/local-queue.md shows it.

`BATCHSPAWNER_PICTURES=1 pytest tests/docs/test_recording.py` records it again, at a person's pace.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pexpect
import pytest

from tests.docs.recorder import COLUMNS, ROWS, Recorder, picture, pieces, screen
from tests.sites import LocalSite

IMAGES = Path(__file__).parents[2] / "docs" / "images"
RECORDING = bool(os.environ.get("BATCHSPAWNER_PICTURES"))
PROMPT = "$ "
TITLE = "Jobs of the embedded queue, and Python functions as jobs"
FILES = {
    "job.sh": "#!/bin/sh\n#QUEUE --name=hello --slots=2\necho hello\nsleep 600\n",
    "squares.py": """from batchspawner.functions import slurmify

@slurmify(memory="500M")
def square(number):
    return number * number

if __name__ == "__main__":
    jobs = [square.distribute(number) for number in range(4)]
    print([job.result() for job in jobs])
""",
}
SESSION = """\
$ cat squares.py
{squares.py}$ python squares.py
[0, 1, 4, 9]
$ batchspawner jobs list --all
JOB  SCHEDULER  STATE      SUBMITTED         WHAT       NAME
1    local      completed  2000-01-01 00:00  functions  square
2    local      completed  2000-01-01 00:00  functions  square
3    local      completed  2000-01-01 00:00  functions  square
4    local      completed  2000-01-01 00:00  functions  square
$ batchspawner-queue submit job.sh
5
$ batchspawner-queue info
{"slots": 2, "free": 0}
$ batchspawner-queue cancel 5
$ batchspawner-queue wait 5; batchspawner-queue info
{"slots": 2, "free": 2}
$ """.replace("{squares.py}", FILES["squares.py"])


@pytest.fixture
def terminal(tmp_path):
    """A shell in a folder with the files, with its own queue."""
    site = LocalSite(tmp_path)
    site.start()
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    settings = {
        **os.environ,
        **site.environment,
        "BATCHSPAWNER_SCHEDULER": "local",
        "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
        "BATCHSPAWNER_QUEUE_SLOTS": "2",
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": PROMPT,
        "TERM": "dumb",
    }
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "--noediting"],
        env=settings,
        cwd=str(folder),
        timeout=300,
        encoding="utf-8",
        dimensions=(ROWS, COLUMNS),
    )
    child.logfile_read = Recorder()
    child.delaybeforesend = 0.05 if RECORDING else None
    child.expect_exact(PROMPT)
    yield child
    child.close(force=True)
    site.stop()


def type_line(child: pexpect.spawn, line: str) -> None:
    """Type a command as a person does, and wait until it has ended."""
    if RECORDING:
        time.sleep(1.5)
    for character in line:
        child.send(character)
        child.expect_exact(character)
    child.sendline()
    child.expect_exact(f"\n{PROMPT}")


def test_the_recorded_session_prints_what_the_picture_shows(terminal):
    for line in re.findall(r"^\$ (.+)$", SESSION, re.MULTILINE):
        type_line(terminal, line)
    cast = terminal.logfile_read.cast()
    printed = screen("".join(text for _, text in terminal.logfile_read.events))
    assert re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d", "2000-01-01 00:00", printed) == SESSION
    assert max(row for _, row, _, _ in pieces(cast)) < ROWS
    drawn = picture(cast, TITLE)
    if RECORDING:
        (IMAGES / "terminal.cast").write_text(cast)
        (IMAGES / "terminal.svg").write_text(drawn)
    texts = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    assert "".join(one.text for one in texts) == printed.replace("\n", "")


def test_a_line_that_is_taken_back_is_not_in_the_picture():
    recorder = Recorder()
    for text in ("$ go\r\n", "\r1 of 2", "\r2 of 2", "\r      \r", "do", "ne\r\n", "$ "):
        recorder.write(text)
    shown = [(row, column, text) for _, row, column, text in pieces(recorder.cast())]
    assert shown == [(0, 0, "$ go"), (1, 0, "do"), (1, 2, "ne"), (2, 0, "$ ")]
    assert screen("".join(text for _, text in recorder.events)) == "$ go\ndone\n$ "
