"""Worker: the program inside a job that runs calls of Python functions.

It runs alone, on any Python from 3.8, with the standard library only, in two ways::

    worker.py                  calls come on standard input, results go to standard output
    worker.py FOLDER           calls are in FOLDER/calls, results go to the end of FOLDER/results

Both are frames: a header in JSON and any bytes. What functions print goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pickle
import re
import signal
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
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Optional, TypedDict

    Header = TypedDict(
        "Header",
        {
            "type": str,
            "id": int,
            "ids": list[int],
            "key": str,
            "form": str,
            "file": str,
            "took": float,
            "by value": bool,
            "name": str,
            "message": str,
            "text": str,
            "path": list[str],
            "folder": str,
            "argv": list[str],
            "spool": Optional[str],
            "results": str,
            "python": list[int],
            "pid": int,
            "code": int,
            "log": str,
        },
        total=False,
    )
    Frame = tuple[Header, bytes]

HEAD = struct.Struct(">IQ")
"""The beginning of each frame: the lengths of its header and of its data."""

IN_JOB = "BATCHSPAWNER_FUNCTIONS_JOB"
"""The environment variable that marks a process inside a job."""

LOG = "BATCHSPAWNER_FUNCTIONS_LOG"
"""The environment variable with the beginning of a log's name; host and process id follow."""

FILES = "BATCHSPAWNER_FUNCTIONS_FILES"
STDOUT = "BATCHSPAWNER_FUNCTIONS_STDOUT"
"""The environment variable with the files that what functions print goes to, in JSON.

Its keys are ``output`` and ``error`` (with Slurm's patterns), ``folder``, the ``name`` of the job,
and the names of the variables that have the ``job id`` and the ``index`` in an array.
"""

GRACE = "BATCHSPAWNER_FUNCTIONS_GRACE"
"""The environment variable with the seconds for which what calls have left may go on."""

DEFAULT_GRACE_S = 10.0

MAX_INLINE_BYTES = 8 << 20
"""Bytes of a result that is sent in a frame; a longer one is a file in the job's folder."""

loading = False
"""Whether a script is being loaded, which must not start any work."""

_interrupted = False
"""Whether the call that runs has got SIGINT."""

_PLAIN_TYPES = (str, bool, float, type(None))
_MAX_JSON_VALUES = 1000


def pack(header: Header, data: bytes = b"") -> bytes:
    """Return a frame."""
    head = json.dumps(header).encode()
    return HEAD.pack(len(head), len(data)) + head + data


def frames(stream: BinaryIO) -> Iterator[Frame]:
    """Yield all complete frames of a stream; an incomplete one ends the iteration."""
    while True:
        start = stream.read(HEAD.size)
        if len(start) < HEAD.size:
            return
        lengths: tuple[int, int] = HEAD.unpack(start)
        head, size = lengths
        header, data = stream.read(head), stream.read(size)
        if len(header) < head or len(data) < size:
            return
        yield json.loads(header), data


def is_plain(value: object) -> bool:
    """Return whether a value survives JSON unchanged; False for long ones, left to pickle."""
    waiting, seen = [value], 0
    while waiting:
        one, seen = waiting.pop(), seen + 1
        if type(one) is list:
            waiting.extend(one)
        elif type(one) is dict:
            if any(type(key) is not str for key in one):
                return False
            waiting.extend(one.values())
        elif type(one) is int:
            if one.bit_length() > 64:
                return False
        elif type(one) not in _PLAIN_TYPES:
            return False
        if seen + len(waiting) > _MAX_JSON_VALUES:
            return False
    return True


def dump(value: object) -> tuple[str, bytes]:
    """Return the form of a value, ``json`` or ``pickle``, and its bytes in that form."""
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
    """Return the value that `dump` has turned into these bytes."""
    return json.loads(data) if form == "json" else pickle.loads(data)


def find(reference: dict[str, str]) -> Callable[..., object]:
    """Return a function by its module and name; one of the program's main module by its file.

    `reference` has the keys ``module`` and ``name``, and for the main module ``file`` and ``main``:
    its name if the program was started as ``python -m name``.
    """
    if reference.get("file"):
        module = main_module(reference["file"], reference.get("main", ""))
    else:
        module = importlib.import_module(reference["module"])
    found: Any = module
    for part in reference["name"].split("."):
        found = getattr(found, part)
    # `slurmify` replaces a function by an object that can also distribute it.
    function: Callable[..., object] = getattr(found, "run_locally", found)
    return function


def main_module(file: str, name: str = "") -> types.ModuleType:
    """Load the program's main module as ``__mp_main__``, as multiprocessing does.

    That is one module, also under the name ``__main__``: what the program pickles by reference and
    what its functions use is the same. Code under ``if __name__ == "__main__":`` does not run.
    """
    global loading
    known = sys.modules.get("__mp_main__")
    if known is not None and getattr(known, "__file__", None) == file:
        return known
    module = types.ModuleType("__mp_main__")
    before = {key: sys.modules.get(key) for key in ("__main__", "__mp_main__")}
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    loading = True
    try:
        exec(_main_code(module, file, name), module.__dict__)  # noqa: S102
    except BaseException:
        # The next function of the program tries again, and raises the same.
        sys.modules.update({key: one for key, one in before.items() if one is not None})
        if before["__mp_main__"] is None:
            del sys.modules["__mp_main__"]
        raise
    finally:
        loading = False
    return module


def _main_code(module: types.ModuleType, file: str, name: str) -> types.CodeType:
    """Return the code of a main module, and set what a module knows of itself."""
    module.__file__ = file
    module.__dict__["__builtins__"] = __builtins__
    spec = importlib.util.find_spec(name) if name else None
    if spec is not None and spec.loader is not None and hasattr(spec.loader, "get_code"):
        module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, spec.parent
        found: types.CodeType = spec.loader.get_code(name)
        return found
    module.__package__ = ""
    sys.path.insert(0, os.path.dirname(file))
    with open(file, "rb") as source:
        return compile(source.read(), file, "exec", dont_inherit=True)


class Worker:
    """What performs calls, one after the other."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., object]] = {}
        self.broken: dict[str, BaseException] = {}
        self.pickled: set[str] = set()
        self.unusable: Optional[BaseException] = None
        self.reports_errors = False
        self.spool: Optional[str] = None
        self.pickles = True

    def handle(self, header: Header, data: bytes) -> Optional[Frame]:
        """Process a frame, and return the frame that answers it, if there is one."""
        if header["type"] == "call":
            return self.perform(header, data)
        if header["type"] == "function":
            self.define(header, data)
        elif header["type"] == "initialize":
            self.initialize(header, data)
        elif header["type"] == "welcome":
            self.set_up(header)
        return None

    def set_up(self, header: Header) -> None:
        """Take over the caller's import path, folder and command line."""
        sys.path.extend(path for path in header["path"] if path not in sys.path)
        self.spool = header.get("spool")
        self.pickles = header.get("results") != "json"
        if os.path.isdir(header["folder"]):
            os.chdir(header["folder"])
        sys.argv = header["argv"]

    def define(self, header: Header, data: bytes) -> None:
        """Load a function for later calls; if that fails, each of its calls raises the reason."""
        key = header["key"]
        if header["form"] == "pickle":
            self.pickled.add(key)
        try:
            is_reference = header["form"] == "json"
            loaded: Any = load(header["form"], data)
            self.functions[key] = find(loaded) if is_reference else loaded
        except BaseException as error:
            _raise_interrupt(error)
            self.broken[key] = error

    def initialize(self, header: Header, data: bytes) -> None:
        """Call the initializer; if that fails, all calls fail for that reason."""
        try:
            self._call(header, data)
        except BaseException as error:
            _raise_interrupt(error)
            self.unusable = error
        finally:
            _flush_output()

    def _call(self, header: Header, data: bytes) -> object:
        if header["key"] in self.broken:
            raise self.broken[header["key"]]
        arguments: tuple[list[object], dict[str, object]] = load(header["form"], data)
        args, kwargs = arguments
        process = os.getpid()
        try:
            return self.functions[header["key"]](*args, **kwargs)
        finally:
            if os.getpid() != process:
                # The function has forked, and its call is answered by the parent alone.
                _end_child(sys.exc_info()[1])

    def perform(self, header: Header, data: bytes) -> Frame:
        """Call a function and return the frame with its result, or with what it raised."""
        global _interrupted
        _interrupted = False
        begin = time.perf_counter()
        answer: Header = {"type": "result", "id": header["id"]}
        try:
            if self.unusable is not None:
                _refuse(self.unusable)
            value = self._call(header, data)
            answer["form"], result = _dump_result(value, self.pickles)
        except BaseException as error:
            _raise_interrupt(error)
            answer["type"] = "error"
            answer.update(_described(error))
            if self.reports_errors:
                _report(answer["text"])
            # Such a call may have failed because this is another Python.
            by_value = header["form"] == "pickle" or header["key"] in self.pickled
            answer["by value"] = by_value or header["key"] in self.broken
            answer["form"], result = _dump_error(error) if self.pickles else ("text", b"")
        finally:
            _flush_output()
        answer["took"] = time.perf_counter() - begin
        if self.spool and len(result) > MAX_INLINE_BYTES:
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


def _end_child(error: Optional[BaseException]) -> None:
    """End this process without a word to the caller, with the status that Python would give it."""
    status: object = int(error is not None)
    if isinstance(error, SystemExit):
        status = error.code or 0
    elif error is not None:
        _report(_described(error)["text"])
    if not isinstance(status, int):
        _report("%s\n" % (status,))
        status = 1
    _flush_output()
    os._exit(status & 0xFF)


def _interrupt(*_: object) -> None:
    """Raise KeyboardInterrupt in the call that runs, once: it may be cleaning up already."""
    global _interrupted
    if not _interrupted:
        _interrupted = True
        raise KeyboardInterrupt


def _raise_interrupt(error: BaseException) -> None:
    """Raise the interrupt again if SIGINT has caused it, so that the worker dies of it.

    LSF begins to cancel a job with it. It is no exception of the function for its caller.
    """
    if _interrupted and isinstance(error, KeyboardInterrupt):
        raise error


def _refuse(error: BaseException) -> None:
    """Raise BrokenExecutor, which is caused by what the initializer has raised."""
    from concurrent.futures import BrokenExecutor

    words = _described(error)
    text = "the initializer of this worker has failed: %s: %s" % (words["name"], words["message"])
    raise BrokenExecutor(text) from error


def _report(text: str) -> None:
    """Print the traceback of a call that has failed, for those who read the log of the job."""
    with contextlib.suppress(Exception):
        _flush_output()
        sys.stderr.write(text)


def _flush_output() -> None:
    """Flush what a call has printed; open a stream again that the call has closed or removed."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        try:
            stream.flush()
            usable = not stream.closed
        except Exception:  # such as a full disk, or whatever a function has put there
            usable = stream is not None and not getattr(stream, "closed", True)
        if not usable:
            setattr(sys, name, open(descriptor, "w", buffering=1, closefd=False, errors="replace"))


def _dump_result(value: object, pickles: bool) -> tuple[str, bytes]:
    try:
        return dump(value) if pickles else ("json", json.dumps(value).encode())
    except Exception as error:
        kind = type(value).__qualname__
        raise TypeError("the result, a %s, cannot be sent back: %s" % (kind, error)) from error


def _described(error: BaseException) -> Header:
    import traceback

    # The first step of the traceback is in this file.
    steps = error.__traceback__.tb_next if error.__traceback__ else None
    name = type(error).__name__
    # Anything can happen in an exception's own methods, which must not end the worker.
    try:
        message = str(error)
    except BaseException as problem:
        message = "no text: its __str__ raises %s" % type(problem).__name__
    try:
        text = "".join(traceback.format_exception(type(error), error, steps))
    except BaseException:
        text = "".join(traceback.format_tb(steps)) + "%s: %s\n" % (name, message)
    return {"text": text, "name": name, "message": message}


def _dump_error(error: BaseException) -> tuple[str, bytes]:
    """Pickle an exception; the form is ``text``, with no bytes, if it cannot be pickled."""
    try:
        data = dump(error)[1]
        pickle.loads(data)
    except BaseException:
        return "text", b""
    return "pickle", data


class FrameQueue:
    """Frames that have arrived; calls among them that have not begun can be given back."""

    def __init__(self, calls: BinaryIO, results: BinaryIO) -> None:
        self._frames: deque[Optional[Frame]] = deque()
        self._arrived = threading.Condition()
        self._results = results
        self._sending = threading.Lock()
        threading.Thread(target=self._read, args=(calls,), daemon=True).start()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._arrived:
                while not self._frames:
                    self._arrived.wait()
                frame = self._frames.popleft()
            if frame is None:
                return
            yield frame

    def send(self, header: Header, data: bytes = b"") -> None:
        with self._sending:
            _send(self._results, pack(header, data))

    def _read(self, calls: BinaryIO) -> None:
        for frame in frames(calls):
            if frame[0]["type"] == "give back":
                self._give_back()
            else:
                self._append(frame)
        self._append(None)

    def _append(self, frame: Optional[Frame]) -> None:
        with self._arrived:
            self._frames.append(frame)
            self._arrived.notify()

    def _give_back(self) -> None:
        """Remove all calls and send their numbers, the last one first; functions stay."""
        numbers = []
        with self._arrived:
            for _ in range(len(self._frames)):
                frame = self._frames.pop()
                if frame is not None and frame[0]["type"] == "call":
                    numbers.append(frame[0]["id"])
                else:
                    self._frames.appendleft(frame)
        self.send({"type": "given back", "ids": numbers})


def serve() -> None:
    """Perform the calls that come on standard input until it ends."""
    queue = FrameQueue(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0))
    log = os.environ.pop(LOG, "")
    if log:
        log += "%s-%s" % (os.uname().nodename, os.getpid())
    _redirect(log)
    # The only other thread just reads, so a function may fork.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
    worker = Worker()
    worker.reports_errors = bool(log)
    queue.send({**_hello(), "log": os.path.basename(log)})
    for header, data in queue:
        answer = worker.handle(header, data)
        if answer is not None:
            queue.send(*answer)


def _redirect(log: str, *, begin: bool = False) -> None:
    """Separate the functions from the frames: they read nothing, and print to the log.

    The log is a link if the user has named a file, which is emptied if the job has to `begin`.
    """
    files = json.loads(os.environ.pop(FILES, "{}"))
    printed = int(os.environ.pop(STDOUT, "0"))
    output, error = (_user_file(files, kind) for kind in ("output", "error"))
    for link, path in ((log, output), (log + ".error", error)):
        if log and path:
            with contextlib.suppress(FileExistsError):
                os.symlink(path, link)
    if output:
        _open_as(2, output, 0o666, begin)
    elif log:
        _open_as(2, log, 0o600)
    os.dup2(2 if output or not printed else printed, 1)
    if printed:
        os.close(printed)
    if error and error != output:
        _open_as(2, error, 0o666, begin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Whoever follows the log sees each line when it is printed.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _open_as(descriptor: int, path: str, mode: int, empty: bool = False) -> None:
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | (os.O_TRUNC if empty else 0)
    file = os.open(path, flags, mode)
    os.dup2(file, descriptor)
    os.close(file)


def _user_file(files: dict[str, str], kind: str) -> str:
    """Return the file that the user has named for some output; empty if there is none.

    https://slurm.schedmd.com/sbatch.html#SECTION_%3CB%3Efilename-pattern%3C/B%3E
    """
    if not files.get(kind):
        return ""
    job, index = (os.environ.get(files[key], "") for key in ("job id", "index"))
    whole = os.environ.get(files["array id"], job)
    values = {"%": "%", "j": job, "J": job, "A": whole, "a": index or "0", "x": files["name"]}
    values.update({"N": os.uname().nodename.partition(".")[0], "n": "0", "t": "0", "s": "batch"})
    values["u"] = os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.getuid())

    def value(found: re.Match[str]) -> str:
        known = values.get(found.group(2), found.group())
        return known.zfill(int(found.group(1) or 0)) if known.isdigit() else known

    path = re.sub("%([0-9]?)([A-Za-z%])", value, os.path.expanduser(files[kind]))
    path = os.path.join(files["folder"] or os.getcwd(), path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _hello() -> Header:
    return {"type": "hello", "python": list(sys.version_info[:3]), "pid": os.getpid()}


def _send(stream: BinaryIO, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[stream.write(view) :]


def run_folder(folder: str) -> int:
    """Perform the calls of a folder that have no result yet; return 1 if one has failed.

    A byte on standard output announces each new result. Of several calls, one that ends its
    process fails alone: this process survives, and those behind it are done in another one.
    """
    if len(_calls_left(folder)) < 2:
        return _perform_calls(folder)
    signals: list[int] = []
    before = {
        one: signal.signal(one, lambda got, _: signals.append(got)) for one in _ENDING_SIGNALS
    }
    while True:
        child = os.fork()
        if not child:
            for number, handler in before.items():
                signal.signal(number, handler)
            return _perform_calls(folder)
        code = _exit_code(child)
        _end_with(code, signals)
        left = _calls_left(folder)
        if left:
            _give_up_call(folder, left[0], code)
        if len(left) < 2:
            return int(code != 0 or _results(os.path.join(folder, "results"))[1])


_ENDING_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""Signals with which a scheduler ends a job, or announces its end."""

_KILL_DELAY_S = 2.0
"""Seconds after which who has survived is not being killed with all processes of the job."""


def _exit_code(child: int) -> int:
    """Wait for a process, and return its exit code, or minus the signal that ended it."""
    status = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _end_with(code: int, signals: list[int]) -> None:
    """End as a child has ended, if that was because the job is being ended."""
    if code == -signal.SIGKILL:
        time.sleep(_KILL_DELAY_S)
    if -code in _ENDING_SIGNALS or (code == -signal.SIGKILL and signals):
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)


def _calls_left(folder: str) -> list[int]:
    """Return the numbers of the calls that have no result, in their order."""
    results = os.path.join(folder, "results")
    done = _results(results)[0] if os.path.exists(results) else set()
    with open(os.path.join(folder, "calls"), "rb") as calls:
        numbers = [header["id"] for header, _ in frames(calls) if header["type"] == "call"]
    return [one for one in numbers if one not in done]


def _give_up_call(folder: str, number: int, code: int) -> None:
    """Write down that a call has ended its process."""
    with open(os.path.join(folder, "output"), "a") as log:
        how = "signal %d" % -code if code < 0 else "exit status %d" % code
        log.write("batchspawner: call %d has ended its process with %s\n" % (number + 1, how))
    answer: Header = {"type": "error", "form": "crash", "id": number, "code": code}
    answer["name"] = os.uname().nodename
    with open(os.path.join(folder, "results"), "ab", buffering=0) as results:
        _send(results, pack(answer))
        os.fsync(results.fileno())
    with contextlib.suppress(OSError):
        os.write(1, b".")


def _perform_calls(folder: str) -> int:
    """Perform the calls that have no result yet in this process; return 1 if one has failed."""
    announcements = os.fdopen(os.dup(1), "wb", buffering=0)
    path = os.path.join(folder, "results")
    _redirect(os.path.join(folder, "output"), begin=not os.path.exists(path))
    done, failed = _results(path)
    worker = Worker()
    worker.reports_errors = True
    calls = open(os.path.join(folder, "calls"), "rb")
    with calls, open(path, "ab", buffering=0) as results:
        _send(results, pack(_hello()))
        for header, data in frames(calls):
            if header["type"] == "call" and header["id"] in done:
                continue
            answer = worker.handle(header, data)
            if answer is not None:
                _send(results, pack(*answer))
                os.fsync(results.fileno())
                _announce(announcements)
                failed = failed or answer[0]["type"] == "error"
    return int(failed)


def _announce(announcements: BinaryIO) -> None:
    # Without a reader, the result is found when the job ends.
    with contextlib.suppress(OSError):
        announcements.write(b".")


def _results(path: str) -> tuple[set[int], bool]:
    """Return which calls have a result from an earlier run, and whether one of them failed.

    A frame that an interrupted run has left incomplete is cut off.
    """
    done: set[int] = set()
    failed = False
    flags = os.O_RDWR | os.O_CREAT
    with open(os.open(path, flags, 0o600), "r+b") as results:
        complete = 0
        for header, _ in frames(results):
            complete = results.tell()
            if header["type"] in ("result", "error"):
                done.add(header["id"])
                failed = failed or header["type"] == "error"
        results.truncate(complete)
    return done, failed


def end_what_is_left(status: int) -> None:
    """End this process and what calls have left, if that still keeps it after a grace period.

    Python waits for threads and child processes without a limit, and the job holds its cores.
    """
    try:
        grace = max(0.1, float(os.environ.get(GRACE, "")))
    except ValueError:
        grace = DEFAULT_GRACE_S
    threading.Thread(target=_end_late, args=(status, grace), daemon=True).start()


def _end_late(status: int, grace: float) -> None:
    children: list[Any] = []
    names: list[str] = []
    while not children and not names:  # else it is an exit function that works, and may
        time.sleep(grace)
        children = _children_left()
        names = [one.name for one in threading.enumerate() if _keeps_process(one)]
        names += [one.name for one in children]
    with contextlib.suppress(Exception):
        text = "batchspawner: all calls are done; ended what still ran %g s later (%s): %s\n"
        sys.stderr.write(text % (grace, GRACE, ", ".join(names)))
        sys.stderr.flush()
    for child in children:
        with contextlib.suppress(Exception):
            child.kill()
    os._exit(status)


def _keeps_process(thread: threading.Thread) -> bool:
    return not thread.daemon and thread is not threading.main_thread()


def _children_left() -> list[Any]:
    """Return the processes of multiprocessing that Python waits for when it exits."""
    known = sys.modules.get("multiprocessing")
    return known.active_children() if known is not None else []


def main(argv: list[str]) -> int:
    """Run the program and return its exit status."""
    os.environ[IN_JOB] = "1"
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    if len(argv) > 1:
        return run_folder(argv[1])
    serve()
    return 0


if __name__ == "__main__":
    # Functions must not import from the folder of this file, and this module must outlive its
    # name __main__, which a script takes over.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.modules["batchspawner_worker"] = sys.modules["__main__"]
    exit_status = main(sys.argv)
    end_what_is_left(exit_status)
    sys.exit(exit_status)
