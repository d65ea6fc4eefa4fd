"""The self-test of a site, on the embedded queue."""

from __future__ import annotations

import re

from batchspawner.functions import check


def test_every_step_is_told_with_its_time(queue, capsys):
    assert check.main(["--scheduler", "local", "--patience", "120"]) == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    assert [re.sub(r" \(\d+\.\d s\): .*", "", line) for line in lines] == [
        "ok     a job returns a value",
        "ok     what it prints can be read",
        "ok     an exception comes back",
        "ok     workers share many calls",
    ]


def test_the_first_step_that_fails_says_why(queue, capsys):
    assert check.main(["--scheduler", "local", "-o", "nprocs=99"]) == 1
    out = capsys.readouterr().out
    assert "FAILED a job returns a value: SubmitError: The local queue refused the job." in out
    assert "the job asks for 99 slots, and this queue has only 4" in out


def test_a_job_that_takes_too_long_is_told(queue, capsys):
    assert check.main(["--scheduler", "local", "--patience", "0.01"]) == 1
    assert "FAILED a job returns a value: TimeoutError: it took too long" in capsys.readouterr().out
