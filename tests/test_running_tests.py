"""How the tests themselves are run: limits of time, repetitions, and what is left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import sites
from tests.hubs import Hub
from tests.ports import free_port, take

ROOT = Path(__file__).parents[1]


def run(folder: Path, text: str) -> tuple[str, str]:
    """Run tests, repeated once, and return the output and the file of first failures."""
    file, failures = folder / "test_example.py", folder / "failures"
    file.write_text(textwrap.dedent(text))
    plugins = ["-p", "tests.outcomes", "-p", "tests.time_limits", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--reruns", "1", "--rootdir", folder, file],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BATCHSPAWNER_FIRST_FAILURES": str(failures)},
        capture_output=True,
        text=True,
        timeout=150,
    )
    return done.stdout, failures.read_text() if failures.exists() else ""


def test_a_test_that_hangs_fails_each_time_with_a_traceback(tmp_path):
    output, first = run(
        tmp_path,
        """
        import threading, pytest

        @pytest.mark.timeout(1)
        def test_of_a_hang():
            threading.Event().wait()
        """,
    )
    assert re.search(r"^=+ 1 failed, 1 rerun in ", output, re.MULTILINE)
    assert "threading.Event().wait()\n" in first
    assert "Failed: Timeout (>1s) from pytest-timeout." in first


@pytest.mark.parametrize("before", ["", "yield; "])
def test_a_fixture_that_hangs_fails_too(tmp_path, before):
    output, _ = run(
        tmp_path,
        f"""
        import threading, pytest
        pytestmark = pytest.mark.timeout(1)

        @pytest.fixture
        def hangs():
            {before}threading.Event().wait()

        def test_of_a_fixture(hangs):
            assert {not before}
        """,
    )
    assert re.search(r"1 error, \d rerun in |1 failed, 1 error, \d rerun in ", output)


def test_the_reason_of_the_first_failure_is_printed_though_the_second_run_passes(tmp_path):
    output, first = run(
        tmp_path,
        """
        from pathlib import Path

        def test_of_the_second_try(tmp_path):
            print("what it printed")
            seen = Path(__file__).with_name("seen")
            before = seen.exists()
            seen.touch()
            assert before, "not before the first try"
        """,
    )
    assert re.search(r"^=+ 1 passed, 1 rerun in ", output, re.MULTILINE)
    assert "first failures of repeated tests" in output
    assert first.startswith("----- test_example.py::test_of_the_second_try (call)\n")
    assert "AssertionError: not before the first try" in first
    assert first.endswith("--- Captured stdout call\nwhat it printed\n")


class Site:
    """A site of two jobs, of which one was there before the test."""

    def __init__(self) -> None:
        self.running = ["before"]
        self.cancelled: list[str] = []

    def jobs(self) -> list[tuple[str, str, str]]:
        return [(one, "ada", "RUNNING") for one in self.running]

    def cancel(self, job_id: str) -> None:
        self.running.remove(job_id)
        self.cancelled.append(job_id)

    def drain(self) -> None:
        """Do nothing: it is never full."""


class LeftHub:
    """A Hub of which a test has lost sight."""

    log = "hub.log"

    def stop(self) -> None:
        Hub.running.discard(self)


def forgetful_test(site: Site, *, failed: bool) -> None:
    """Leave a job and a Hub, as a test does that fails before its end."""
    with sites.nothing_left(site, lambda: failed):
        site.running.append("left")
        Hub.running.add(LeftHub())


def nothing_is_left(site: Site) -> bool:
    hubs = {one for one in Hub.running if isinstance(one, LeftHub)}
    return (site.running, site.cancelled, hubs) == (["before"], ["left"], set())


def test_jobs_and_hubs_that_a_failed_test_leaves_are_removed():
    site = Site()
    forgetful_test(site, failed=True)
    assert nothing_is_left(site)


def test_a_test_that_leaves_a_hub_fails_for_that_and_leaves_none():
    site = Site()
    with pytest.raises(AssertionError, match=r"the test left a Hub running; its log is hub\.log"):
        forgetful_test(site, failed=False)
    assert nothing_is_left(site)


def test_a_port_is_given_once_among_all_tests_that_run():
    port = free_port()
    assert not take(port)
    code = f"from tests.ports import take; print(take({port}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
