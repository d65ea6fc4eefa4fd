"""The same functions on every kind of scheduler, run as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.hubs import wait_for
from tests.odd_values import ODD_VALUES
from tests.sites import REAL, ids

JOURNEY = Path(__file__).with_name("journey.py")


def setting_out(site, *words, script=JOURNEY):
    """Return the command and the environment for the journey of a user of the site."""
    env = {**os.environ, **site.environment, "BATCHSPAWNER_SCHEDULER": site.name}
    env.pop("BATCHSPAWNER_CALL_DIR", None)
    argv = [sys.executable, str(script), *map(str, words)]
    if site.name in REAL:
        env["BATCHSPAWNER_CALL_DIR"] = str(_calls_of(site, site.users[0]))
        argv = ["sudo", "-E", "-H", "-u", site.users[0], "env", f"PATH={env['PATH']}", *argv]
        _check_python(argv)
    else:
        env["HOME"] = str(site.folder)
    return argv, env


def _calls_of(site, user):
    """Return a folder for the calls of a user on a site; their home has those of other sites."""
    folder = site.cluster.prefix / f"calls-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(folder, user)
    return folder


def travel(site, *words):
    """Make the journey, and return what it tells."""
    argv, env = setting_out(site, *words)
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Workers that are processes of this machine print here, too.
    return json.loads(done.stdout.splitlines()[-1])


def _check_python(argv):
    """Skip where the user may not run our Python, as one in the home of another."""
    try:
        subprocess.run([*argv[:8], "-c", ""], cwd="/", check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{argv[4]} cannot run {sys.executable}: {error.stderr}")


def test_functions_do_the_same_on_every_scheduler(site):
    assert travel(site, "whole") == {
        "jobs": {
            "value": 49,
            "spoken": {"text": "hello", "in job": True},
            "failed": ["KeyError", "'no'", True],
            "dead": ["JobFailed", "failed", 11, "about to die"],
            "shell": 0,
            "after": 64,
            "log": "it says hello\n",
            "exit codes": [0, 1],
            "bundled": [0, 1, 4, 9, 81],
            "bundles": [[0, 1, 4], [9], [81]],
            "jobs of bundles": 3,
            "cancelled": [True, ["JobCancelled", "cancelled"]],
        },
        "executor": {
            "sum": 59700,
            "dead": ["JobFailed", "failed", 11],
            "rest": [0, 1, 4, 9, 16],
            "big": 20_000_000,
        },
        "without network": 2470,
    }


def test_a_later_process_takes_a_job_up_again(site):
    job = travel(site, "begin")["job"]
    assert travel(site, "attach", job) == {"text": "later", "in job": True}


def test_functions_have_each_variable_of_the_caller_byte_by_byte(site, monkeypatch):
    for name, value in ODD_VALUES.items():
        monkeypatch.setenv(name, value)
    assert travel(site, "variables", "ODD_") == [ODD_VALUES, ODD_VALUES]


@pytest.mark.parametrize("what", ["hold", "work"])
def test_what_a_job_did_that_is_put_back_into_the_queue_is_done_again(site, what):
    if not site.can_requeue:
        pytest.skip(f"{site.name} cannot put a job back")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        begun, go = Path(name, "begun"), Path(name, "go")
        rerunnable = {"r": "y"} if site.name == "gridengine" else {}
        argv, env = setting_out(site, what, begun, go, json.dumps(rerunnable))
        others = ids(site)
        with subprocess.Popen(argv, env=env, cwd="/", stdout=subprocess.PIPE, text=True) as driver:
            try:
                if what == "hold":
                    driver.stdout.readline()  # the id
                wait_for(begun.exists, 120, "the job")
                begun.unlink()
                (job,) = ids(site) - others
                site.requeue(job)
                wait_for(begun.exists, 90, "its second run")
                go.touch()
                assert json.loads(driver.stdout.readline()) == str(go)
            finally:
                driver.kill()


def test_a_future_whose_job_is_cancelled_ends_where_no_accounting_tells_of_it(site):
    with tempfile.TemporaryDirectory(dir="/tmp") as name, site.without_accounting():
        Path(name).chmod(0o777)
        begun = Path(name, "begun")
        argv, env = setting_out(site, "hold", begun, Path(name, "go"), "{}")
        with subprocess.Popen(argv, env=env, cwd="/", stdout=subprocess.PIPE, text=True) as driver:
            try:
                job = json.loads(driver.stdout.readline())
                wait_for(begun.exists, 120, "the job")
                site.cancel(str(job))
                wait_for(lambda: driver.poll() is not None, 120, "the end of the future")
                error = json.loads(driver.stdout.readline())[0]
                assert error == ("JobLost" if site.forgets else "JobCancelled")
            finally:
                driver.kill()
