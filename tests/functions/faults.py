"""Faults of functions as jobs: provoke them all, and print what the caller sees of them.

Run as a script, as the user who owns the jobs, with an empty folder: ``faults.py jobs FOLDER
RUNTIME``, ``faults.py workers FOLDER``, ``faults.py memory FOLDER``, and ``faults.py held FOLDER
OPTIONS`` for a call of a worker that waits for a file ``go``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import batchspawner.functions as slurminade
from batchspawner.allocation.listener import Listener
from batchspawner.client import blocking_client
from batchspawner.functions import session

SCHEDULER = os.environ["BATCHSPAWNER_SCHEDULER"]
SECONDS = 600
"""How long anything may take on a busy machine, where it takes a moment on any other."""
LARGE = 500_000_000
LINES = 1_000_000
"""Of 100 characters each."""


@slurminade.slurmify
def speak(text, seconds):
    print(text, flush=True)
    time.sleep(seconds)
    return text


@slurminade.slurmify
def hold(folder):
    Path(folder, "begun").touch()
    wait_for(Path(folder, "go"))
    return "held"


@slurminade.slurmify
def kill():
    os.kill(os.getpid(), 9)


@slurminade.slurmify
def shout():
    for _ in range(LINES):
        print("x" * 99)


@slurminade.slurmify
def large():
    return bytes(LARGE)


@slurminade.slurmify
def unpicklable():
    return (one for one in ())


@slurminade.slurmify(memory="200M")
def hungry():
    print("still hungry", flush=True)
    return len(bytearray(b"x") * 2_000_000_000)


def square(number):
    return number * number


def wait_for(file):
    until = time.monotonic() + SECONDS
    while not file.exists():
        assert time.monotonic() < until, file
        time.sleep(0.02)


def end(future):
    """Return how a call ended that did not succeed, and the last that it printed."""
    error = future.exception(SECONDS)
    if hasattr(error, "log_tail"):
        return [type(error).__name__, error.log_tail.partition("\n")[0]]
    return [type(error).__name__, str(error)]


def cut_all_connections():
    async def cut():
        for connection in list((await session.shared_listener())._connections):
            connection.cancel()

    blocking_client.run(cut())


def not_let_in(function, *arguments):
    """Submit a job whose key nobody knows."""
    expect = Listener.expect
    Listener.expect = lambda self, call: call.attach(self)
    try:
        return function.distribute(*arguments)
    finally:
        Listener.expect = expect


def jobs(folder, runtime):
    slow = speak.with_options(runtime=runtime).distribute("too slow", 600)
    killed, odd = kill.distribute(), unpicklable.distribute()
    stranger, shouted, huge = not_let_in(speak, "hello", 0), shout.distribute(), large.distribute()
    found = {
        "killed": end(killed),
        "unpicklable": end(odd),
        "large": len(huge.result(SECONDS)),
        "shouted": [shouted.result(SECONDS), len(shouted.log())],
        "stranger": stranger.result(SECONDS),
    }
    held = hold.distribute(folder)
    wait_for(Path(folder, "begun"))
    cut_all_connections()
    Path(folder, "go").touch()
    found["cut"] = held.result(SECONDS)
    stopped = speak.distribute("stopped", 600)
    while not stopped.log():
        time.sleep(0.05)
    stopped.job.cancel()
    found["cancelled"] = end(stopped)
    found["slow"] = end(slow)
    return found


def peak_memory_kib() -> int:
    """Return how much memory this program has used; getrusage also counts that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def workers(_):
    with slurminade.Executor(SCHEDULER, workers=2, runtime="10m") as executor:
        found = {"sum": sum(executor.map(square, range(10_000), timeout=SECONDS))}
        found["memory"] = peak_memory_kib() < 200 * 1024
        shouted = executor.submit(shout)
        found["shouted"] = [shouted.result(SECONDS), len(shouted.log()) >= LINES * 100]
        found["large"] = len(executor.submit(large).result(SECONDS))
        found["unpicklable"] = end(executor.submit(unpicklable))
    return found


def memory(_):
    with slurminade.Executor(SCHEDULER, workers=1, memory="200M", runtime="10m") as executor:
        eaten = executor.submit(hungry.function)
        return {"job": end(hungry.distribute()), "worker": end(eaten)}


def held(folder, options):
    with slurminade.Executor(
        SCHEDULER, workers=1, runtime="10m", **json.loads(options)
    ) as executor:
        future = executor.submit(hold, folder)
        wait_for(Path(folder, "begun"))
        print(json.dumps(str(future.get_job_id())), flush=True)
        return future.result(SECONDS)


if __name__ == "__main__":
    slurminade.set_dispatch_limit(None)
    what = {"jobs": jobs, "workers": workers, "memory": memory, "held": held}[sys.argv[1]]
    print(json.dumps(what(*sys.argv[2:])))
