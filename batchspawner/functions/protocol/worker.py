"""Run calls of Python functions in a process of its own: the part of `functions` inside a job.

It runs alone, on any Python from 3.8, with the standard library only, in two ways::

    worker.py                  calls come on standard input, results go to standard output
    worker.py FOLDER           calls are in FOLDER/calls, results go to the end of FOLDER/results

Both are frames: a header in JSON and any bytes. What the functions print goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import runpy
import struct
import sys
import threading
import time
import types
import warnings
from collections import deque

# The module typing takes longer to import than all that is done here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Optional

    Frame = tuple[dict[str, Any], bytes]

HEAD = struct.Struct(">IQ")
"""How each frame begins: the length of its header, and of its bytes."""

IN_JOB = "BATCHSPAWNER_FUNCTIONS_JOB"
"""The environment variable that says that this process works for a job."""

LOG = "BATCHSPAWNER_FUNCTIONS_LOG"
"""The environment variable with the beginning of a log's name; host and process id follow."""

INLINE = 8 << 20
"""Bytes of a result that travel in a frame; a longer one lies in a file of the job's folder."""

loading = False
"""Whether a script is being loaded, which is not the time to do anything."""

_PLAIN = (str, bool, float, type(None))
_MANY = 1000


def pack(header: dict[str, Any], data: bytes = b"") -> bytes:
    """Return a frame."""
    head = json.dumps(header).encode()
    return HEAD.pack(len(head), len(data)) + head + data


def frames(stream: BinaryIO) -> Iterator[Frame]:
    """Yield all whole frames of a stream; a frame that breaks off in the middle ends it."""
    while True:
        start = stream.read(HEAD.size)
        if len(start) < HEAD.size:
            return
        head, size = HEAD.unpack(start)
        header, data = stream.read(head), stream.read(size)
        if len(header) < head or len(data) < size:
            return
        yield json.loads(header), data


def is_plain(value: Any) -> bool:
    """Say whether JSON brings a value over as it is; long ones are left to pickle."""
    waiting, seen = [value], 0
    while waiting:
        one, seen = waiting.pop(), seen + 1
        kind = type(one)
        if kind is list:
            waiting.extend(one)
        elif kind is dict:
            if any(type(key) is not str for key in one):
                return False
            waiting.extend(one.values())
        elif kind is int:
            if one.bit_length() > 64:
                return False
        elif kind not in _PLAIN:
            return False
        if seen + len(waiting) > _MANY:
            return False
    return True


def dump(value: Any) -> tuple[str, bytes]:
    """Return a value's form, ``json`` or ``pickle``, and its bytes."""
    if is_plain(value):
        return "json", json.dumps(value).encode()
    try:
        return "pickle", pickle.dumps(value, protocol=4)
    except Exception:
        try:
            import cloudpickle
        except ImportError:
            pass
        else:
            return "pickle", cloudpickle.dumps(value, protocol=4)
        raise


def load(form: str, data: bytes) -> Any:
    """Return the value of which `dump` made these bytes."""
    return json.loads(data) if form == "json" else pickle.loads(data)


def find(reference: dict[str, str]) -> Any:
    """Return a function by its module and name; one of a script is found by the script's file."""
    name = reference["module"]
    module = script(reference["file"]) if reference.get("file") else importlib.import_module(name)
    found = module
    for part in reference["name"].split("."):
        found = getattr(found, part)
    # A decorator of the library stands for the function that it decorates.
    return getattr(found, "run_locally", found)


def script(file: str) -> types.ModuleType:
    """Load a script but not what it does only as a program, as multiprocessing does."""
    global loading
    module = sys.modules.get("__mp_main__")
    if module is None or module.__file__ != file:
        module = types.ModuleType("__mp_main__")
        module.__file__ = file
        sys.path.insert(0, os.path.dirname(file))
        # What the script defines is pickled by this name.
        sys.modules["__main__"] = sys.modules["__mp_main__"] = module
        loading = True
        try:
            module.__dict__.update(runpy.run_path(file, run_name="__mp_main__"))
        finally:
            loading = False
    return module


class Worker:
    """Perform calls one after the other."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.broken: dict[str, BaseException] = {}
        self.pickled: set[str] = set()
        self.spool: Optional[str] = None

    def handle(self, header: dict[str, Any], data: bytes) -> Optional[Frame]:
        """Do what a frame asks for, and return the frame that answers it, if there is one."""
        if header["type"] == "call":
            return self.perform(header, data)
        if header["type"] == "function":
            self.learn(header, data)
        elif header["type"] == "welcome":
            self.settle(header)
        return None

    def settle(self, header: dict[str, Any]) -> None:
        """Make this process as much like the caller's as is good for its functions."""
        sys.path.extend(path for path in header["path"] if path not in sys.path)
        self.spool = header.get("spool")
        if os.path.isdir(header["folder"]):
            os.chdir(header["folder"])
        sys.argv = [header["program"]]

    def learn(self, header: dict[str, Any], data: bytes) -> None:
        """Keep a function for the calls to come; why it cannot be loaded is told to each call."""
        key = header["key"]
        if header["form"] == "pickle":
            self.pickled.add(key)
        try:
            value = load(header["form"], data)
            self.functions[key] = find(value) if header["form"] == "json" else value
        except BaseException as error:
            self.broken[key] = error

    def perform(self, header: dict[str, Any], data: bytes) -> Frame:
        """Call a function and return the frame with its result, or with what it raised."""
        begin = time.perf_counter()
        answer: dict[str, Any] = {"type": "result", "id": header["id"]}
        try:
            if header["key"] in self.broken:
                raise self.broken[header["key"]]
            args, kwargs = load(header["form"], data)
            value = self.functions[header["key"]](*args, **kwargs)
            answer["form"], result = _dump_result(value)
        except BaseException as error:
            answer["type"] = "error"
            answer.update(_described(error))
            # What is wrong with such a call may be that this is another Python.
            by_value = header["form"] == "pickle" or header["key"] in self.pickled
            answer["by value"] = by_value or header["key"] in self.broken
            answer["form"], result = _dump_error(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        answer["took"] = time.perf_counter() - begin
        if self.spool and len(result) > INLINE:
            answer["file"] = self._spooled(header["id"], result)
            result = b""
        return answer, result

    def _spooled(self, number: int, result: bytes) -> str:
        path = os.path.join(str(self.spool), "%s-%s.result" % (number, os.urandom(4).hex()))
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(result)
            file.flush()
            os.fsync(file.fileno())
        return path


def _dump_result(value: Any) -> tuple[str, bytes]:
    try:
        return dump(value)
    except Exception as error:
        kind = type(value).__qualname__
        raise TypeError("the result, a %s, cannot be sent back: %s" % (kind, error)) from error


def _described(error: BaseException) -> dict[str, str]:
    import traceback

    # The first step of the traceback is in this file.
    steps = error.__traceback__.tb_next if error.__traceback__ else None
    told = traceback.format_exception(type(error), error, steps)
    return {"text": "".join(told), "name": type(error).__name__, "message": str(error)}


def _dump_error(error: BaseException) -> tuple[str, bytes]:
    """Pickle an exception, or tell with the form ``text`` that this one cannot travel."""
    try:
        data = dump(error)[1]
        pickle.loads(data)
    except Exception:
        return "text", b""
    return "pickle", data


class Desk:
    """Hold the frames that have come, so that calls that have not begun can be given back."""

    def __init__(self, calls: BinaryIO, results: BinaryIO) -> None:
        self._frames: deque[Optional[Frame]] = deque()
        self._count = threading.Semaphore(0)
        self._results = results
        self._lock = threading.Lock()
        threading.Thread(target=self._read, args=(calls,), daemon=True).start()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            self._count.acquire()
            try:
                frame = self._frames.popleft()
            except IndexError:
                continue  # given back
            if frame is None:
                return
            yield frame

    def send(self, header: dict[str, Any], data: bytes = b"") -> None:
        with self._lock:
            _send(self._results, pack(header, data))

    def _read(self, calls: BinaryIO) -> None:
        for frame in frames(calls):
            if frame[0]["type"] == "give back":
                self._give_back()
            else:
                self._frames.append(frame)
                self._count.release()
        self._frames.append(None)
        self._count.release()

    def _give_back(self) -> None:
        numbers = []
        while self._frames:
            try:
                frame = self._frames.pop()
            except IndexError:
                break
            if frame is None or frame[0]["type"] != "call":
                self._frames.append(frame)
                break
            numbers.append(frame[0]["id"])
        self.send({"type": "given back", "ids": numbers})


def serve() -> None:
    """Perform the calls that come on standard input until it ends."""
    desk = Desk(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0))
    log = os.environ.pop(LOG, "")
    if log:
        log += "%s-%s" % (os.uname().nodename, os.getpid())
    _redirect(log)
    # The one thread besides this one only reads: a function may fork.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
    worker = Worker()
    desk.send({**_hello(), "log": os.path.basename(log)})
    for header, data in desk:
        answer = worker.handle(header, data)
        if answer is not None:
            desk.send(*answer)


def _redirect(log: str) -> None:
    """Keep the frames' streams from the functions: they read nothing, and print to the log."""
    if log:
        file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(file, 2)
        os.close(file)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Who follows the log sees each line when it is printed.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _hello() -> dict[str, Any]:
    return {"type": "hello", "python": list(sys.version_info[:3]), "pid": os.getpid()}


def _send(stream: BinaryIO, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[stream.write(view) :]


def run_folder(folder: str) -> int:
    """Perform the calls of a folder that have no result yet; return 1 where one has failed.

    A byte on standard output tells that there is a new result.
    """
    bell = os.fdopen(os.dup(1), "wb", buffering=0)
    _redirect(os.path.join(folder, "output"))
    path = os.path.join(folder, "results")
    done, failed = _results(path)
    worker = Worker()
    tasks = open(os.path.join(folder, "calls"), "rb")
    with tasks, open(path, "ab", buffering=0) as results:
        _send(results, pack(_hello()))
        for header, data in frames(tasks):
            if header["type"] == "call" and header["id"] in done:
                continue
            answer = worker.handle(header, data)
            if answer is not None:
                _send(results, pack(*answer))
                os.fsync(results.fileno())
                _ring(bell)
                failed = failed or answer[0]["type"] == "error"
    return int(failed)


def _ring(bell: BinaryIO) -> None:
    # Who cannot hear it finds the result in the end.
    with contextlib.suppress(OSError):
        bell.write(b".")


def _results(path: str) -> tuple[set[int], bool]:
    """Return which calls have a result from an earlier run, and whether one of them failed.

    What a run that was killed left half written is cut off.
    """
    done: set[int] = set()
    failed = False
    flags = os.O_RDWR | os.O_CREAT
    with open(os.open(path, flags, 0o600), "r+b") as results:
        whole = 0
        for header, _ in frames(results):
            whole = results.tell()
            if header["type"] in ("result", "error"):
                done.add(header["id"])
                failed = failed or header["type"] == "error"
        results.truncate(whole)
    return done, failed


def main(argv: list[str]) -> int:
    """Run the program and return its exit status."""
    os.environ[IN_JOB] = "1"
    if len(argv) > 1:
        return run_folder(argv[1])
    serve()
    return 0


if __name__ == "__main__":
    # The folder of this file is no place for the imports of the functions, and this module must
    # live on when a script takes its place as __main__.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.modules["batchspawner_worker"] = sys.modules["__main__"]
    sys.exit(main(sys.argv))
