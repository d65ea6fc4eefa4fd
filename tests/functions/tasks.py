"""Functions that tests run in other processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

SECONDS = 120
"""How long anything may take on a busy machine, where it takes a moment on any other."""


LEFT_BEHIND_S = 600
"""How long what a call leaves behind would go on."""


def square(number):
    return number * number


def fail(text):
    raise ValueError(text)


def sleep_and_return(seconds, value):
    time.sleep(seconds)
    return value


def process_id(_=None):
    return os.getpid()


def wait_for(is_so, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s")
        time.sleep(0.01)


def wait_for_file(path, seconds=SECONDS):
    wait_for(Path(path).exists, seconds)
    return path


def touch_and_wait(begun, go):
    Path(begun).touch()
    return wait_for_file(go)


def die(signal_number):
    os.kill(os.getpid(), signal_number)


def leave_with(status):
    os._exit(status)


def leave_thread():
    threading.Thread(target=time.sleep, args=(LEFT_BEHIND_S,), name="left behind").start()


def leave_process():
    multiprocessing.Process(target=time.sleep, args=(LEFT_BEHIND_S,), name="left behind").start()


def leave_child():
    subprocess.Popen(["sleep", str(LEFT_BEHIND_S)])


def leave_fork():
    if not os.fork():
        time.sleep(LEFT_BEHIND_S)
        os._exit(0)


def fork_and_end(how):
    """Return the exit status of a child that does not end by itself before the call is over."""
    child = os.fork()
    if child:
        return os.WEXITSTATUS(os.waitpid(child, 0)[1])
    if how == "raise":
        raise ValueError("of the child")
    return sys.exit(how) if how != "return" else "of the child"


FORKS = {"return": 0, "raise": 1, 3: 3, "last words": 1}
"""How a child ends that a call has forked, and its exit status."""


def leave_child_and_die():
    leave_child()
    os._exit(7)


def note_in_thread(path):
    def note():
        time.sleep(0.2)
        Path(path).write_text("noted")

    threading.Thread(target=note).start()


def print_both(out, err):
    print(out)
    print(err, file=sys.stderr)


def speak(text):
    print(text)
    return text


class Stubborn(Exception):
    """Refuse to be unpickled."""

    def __init__(self, first, second):
        super().__init__(first)


def fail_stubbornly():
    raise Stubborn("cannot", "travel")


def unpicklable():
    return (one for one in ())


def talk(first, begun, go, second):
    print(first)
    touch_and_wait(begun, go)
    print(second)


def large(size):
    return bytes(size)


def shout(lines):
    for _ in range(lines):
        print("x" * 99)
    return lines


def process_of_agent(begun, go):
    partial = Path(f"{begun}.partial")
    partial.write_text(str(os.getppid()))
    partial.rename(begun)
    return wait_for_file(go)


def process_id_after(seconds):
    time.sleep(seconds)
    return os.getpid()


class Wordless(Exception):
    """Exception whose text cannot be made."""

    def __str__(self):
        raise ValueError("no text")


def raise_wordless():
    raise Wordless


def close_output():
    sys.stdout.close()
    return "closed"


def remove_output():
    sys.stdout = None
    return "removed"


_begun = []


def begin(*arguments):
    _begun.append(arguments)


def begun(_):
    return _begun
