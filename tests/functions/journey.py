"""Use of functions by a user, on the scheduler of this machine: do it, and print the results.

Run as a script, as the user who owns the jobs: ``journey.py whole``, ``journey.py begin`` and, in
a later process, ``journey.py attach JOB_ID``; ``journey.py hold BEGUN GO OPTIONS`` for a job that
waits for a file, ``journey.py work BEGUN GO OPTIONS`` for a worker that does; ``journey.py
variables PREFIX`` for variables of the caller in jobs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import batchspawner.functions as slurminade
from batchspawner.jobs import JobState

SECONDS = 600
"""How long anything may take on a busy machine, where it takes a moment on any other."""


@slurminade.slurmify
def square(number):
    return number * number


@slurminade.slurmify
def speak(text):
    print(f"it says {text}")
    return {"text": text, "in job": "BATCHSPAWNER_FUNCTIONS_JOB" in os.environ}


@slurminade.slurmify
def variables(prefix):
    return {name: value for name, value in os.environ.items() if name.startswith(prefix)}


@slurminade.slurmify
def fail(text):
    print("about to fail")
    raise KeyError(text)


@slurminade.slurmify
def die():
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


@slurminade.slurmify
def sleep(seconds):
    time.sleep(seconds)


@slurminade.slurmify
def hold(begun, go):
    Path(begun).touch()
    while not Path(go).exists():
        time.sleep(0.02)
    return go


def told(future):
    """Return what is to be seen of a future, without what differs between machines."""
    error = future.exception(SECONDS)
    if error is None:
        return future.result(0)
    status = getattr(error, "status", None)
    if status is not None:
        return [type(error).__name__, status.state.value, status.signal, error.log_tail]
    return [type(error).__name__, str(error), "in fail" in str(error.__cause__)]


def running(future):
    until = time.monotonic() + SECONDS
    while future.state is not JobState.RUNNING:
        assert time.monotonic() < until, future
        time.sleep(0.05)


def jobs():
    long = sleep.distribute(600)
    futures = {
        "value": square.distribute(7),
        "spoken": speak.distribute("hello"),
        "failed": fail.distribute("no"),
        "dead": die.distribute(),
        "shell": slurminade.sbatch('test -n "$BATCHSPAWNER_FUNCTIONS_JOB" && echo from a shell'),
    }
    futures["after"] = square.wait_for(futures["failed"], method="afternotok").distribute(8)
    with slurminade.JobBundling(max_size=3) as bundle:
        bundled = [square.distribute(n) for n in range(4)]
        bundled.append(square.wait_for(bundled[0], method="afterok").distribute(9))
    found = {name: told(future) for name, future in futures.items()}
    found["log"] = futures["spoken"].log()
    found["exit codes"] = [futures[name].get_exit_code() for name in ("value", "failed")]
    found["bundled"] = [told(future) for future in bundled]
    found["bundles"] = [told(job) for job in bundle.get_all_jobs()]
    ids = {str(job) for job in bundle.get_all_job_ids()}
    found["jobs of bundles"] = len(ids)
    running(long)
    found["cancelled"] = [long.cancel(), told(long)[:2]]
    return found


def executor():
    factor = 3
    with slurminade.Executor(workers=2, runtime="10m") as one:
        values = list(one.map(lambda n: n * factor, range(200), timeout=SECONDS))
        dead = one.submit(die)
        rest = [one.submit(square, n) for n in range(5)]
        return {
            "sum": sum(values),
            "dead": told(dead)[:3],
            "rest": [told(future) for future in rest],
            "big": len(one.submit(bytes, 20_000_000).result(SECONDS)),
        }


def without_network():
    scheduler = os.environ["BATCHSPAWNER_SCHEDULER"]
    with slurminade.Executor(scheduler, workers=2, runtime="10m", network=False) as one:
        return sum(one.map(square, range(20), timeout=SECONDS))


def main(what, *arguments):
    if what == "begin":
        future = speak.distribute("later")
        return {"job": future.get_job_id()}
    if what == "hold":
        *arguments, options = arguments
        future = hold.with_options(**json.loads(options)).distribute(*arguments)
        print(json.dumps(future.get_job_id()), flush=True)
        return told(future)
    if what == "work":
        *arguments, options = arguments
        with slurminade.Executor(workers=1, runtime="10m", **json.loads(options)) as one:
            return one.submit(hold, *arguments).result(SECONDS)
    if what == "variables":
        with slurminade.Executor(workers=1, runtime="10m") as one:
            pulled = one.submit(variables, *arguments)
            return [variables.distribute(*arguments).result(SECONDS), pulled.result(SECONDS)]
    if what == "attach":
        return told(slurminade.attach(*arguments))
    return {"jobs": jobs(), "executor": executor(), "without network": without_network()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
