"""The program that runs a Python cell: the main module of a `PythonCellProgram`.

It needs the standard library only; the variables that it unpickles may import more. If the Python
of the cell has IPython, the cell can show all that a cell of a notebook can.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import hashlib
import inspect
import io
import json
import linecache
import os
import pickle
import select
import sys
import tempfile
import threading
import tokenize
import traceback
import types
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "<cell>"
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


RESULT = b"R"
"""The kind of the message with the pickled variables that the notebook gets."""

DISPLAY = b"D"
"""The kind of a message with something to show, as JSON."""

INLINE_BACKEND = "module://matplotlib_inline.backend_inline"


def main() -> None:
    """Run the cell of the archive that this program is in."""
    with zipfile.ZipFile(sys.argv[0]) as archive:
        settings = json.loads(archive.read("settings"))
        source = archive.read("cell").decode()
        inputs = archive.read("inputs")
    channel = Channel(bytes.fromhex(settings["mark"]))
    module = prepare(source)
    after_cell = connect_displays(channel, module)
    namespace = module.__dict__
    namespace.update(pickle.loads(inputs))  # noqa: S301  (our own user has sent it)
    try:
        execute(source, namespace)
    except SystemExit as end:
        # The cell has succeeded, so its variables count.
        if end.code not in (None, 0):
            raise
    finally:
        if channel.is_ours:
            after_cell()
    if channel.is_ours:
        channel.send(RESULT, collect(namespace, settings["outputs"]))


class Channel:
    """Messages to the notebook, inside of the standard output.

    A message is one byte for its kind, a checksum of 16 bytes and the content. It is sent in
    chunks: the mark, one byte that is 1 in the last chunk, the length in two bytes, and the data.
    """

    def __init__(self, mark: bytes) -> None:
        # The cell may close its own; programs that the cell starts do not inherit this one.
        self._output = os.dup(1)
        self._mark = mark
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that sends, not one that the cell has forked."""
        return os.getpid() == self._pid

    def send(self, kind: bytes, content: bytes) -> bool:
        """Send a message, if this is the process that sends; return whether it is."""
        # What has been printed comes first. The cell may have closed or replaced its output.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
        if not self.is_ours:
            return False
        message = kind + digest(content) + content
        # Nothing that other threads or programs print can get into so short a chunk.
        size = select.PIPE_BUF - len(self._mark) - 3
        with self._lock:
            for start in range(0, len(message), size):
                data = message[start : start + size]
                is_last = start + size >= len(message)
                self._write(self._mark + bytes([is_last]) + len(data).to_bytes(2, "big") + data)
        return True

    def _write(self, data: bytes) -> None:
        while data:
            # The cell may have made its output non-blocking.
            select.select([], [self._output], [])
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._output, data) :]


def connect_displays(channel: Channel, module: types.ModuleType) -> Callable[[], None]:
    """Send what the cell shows to the notebook, and return what to call after the cell.

    Without IPython, values are printed.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            shell = make_shell(channel, module, folder)
            from IPython.display import display
    except Exception:  # noqa: BLE001  (the cell can run without it, whatever is wrong with it)
        if os.environ.get("MPLBACKEND") == INLINE_BACKEND:
            # The notebook's own choice; without IPython, pyplot could not even be imported.
            del os.environ["MPLBACKEND"]
        return lambda: None
    os.environ.setdefault("MPLBACKEND", INLINE_BACKEND)
    show_value: Callable[[object], object] = display
    sys.displayhook = lambda value: None if value is None else show_value(value)
    # Then matplotlib shows the figures that are open.
    return lambda: shell.events.trigger("post_execute")


def make_shell(channel: Channel, module: types.ModuleType, folder: str) -> Any:
    """Return IPython's shell for libraries that ask for it; it does not run the cell."""
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    class Publisher(DisplayPublisher):
        def publish(  # type: ignore[override, unused-ignore]
            self,
            data: dict[str, Any],
            metadata: dict[str, Any] | None = None,
            source: object = None,  # noqa: ARG002
            *,
            transient: dict[str, Any] | None = None,
            update: bool = False,
            **_: object,
        ) -> None:
            # The notebook does not have the widget that it would have to show.
            data = {kind: one for kind, one in data.items() if "widget-view" not in kind}
            message = {"data": data, "metadata": metadata or {}, "update": update}
            message["display_id"] = (transient or {}).get("display_id", "")
            if not channel.send(DISPLAY, encoded(message)):
                print(data.get("text/plain", ""))

        def clear_output(self, wait: bool = False) -> None:
            channel.send(DISPLAY, encoded({"clear": True, "wait": wait}))

    class Shell(InteractiveShell):
        display_pub_class = Type(Publisher)

        def init_virtualenv(self) -> None:
            """Leave the paths of modules as they are."""

        def init_user_ns(self) -> None:
            """Leave names such as ``exit`` as they are in Python."""
            self.user_ns["get_ipython"] = self.get_ipython

        def atexit_operations(self) -> None:
            """Leave the variables of the cell alone: it has ended anyway."""

    return Shell.instance(
        config=Config({"HistoryManager": {"enabled": False}}),
        ipython_dir=folder,
        user_module=module,
        user_ns=module.__dict__,
    )


def encoded(message: dict[str, Any]) -> bytes:
    """Return a message as JSON, pictures in base64 as in Jupyter's messages."""

    def as_text(value: object) -> str:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)

    return json.dumps(message, default=as_text).encode()


def prepare(source: str) -> types.ModuleType:
    """Set up the process as a notebook does for its cells, and return the cell's module."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
    sys.argv, sys.path[0], sys.excepthook = [""], "", show
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    lines = source.splitlines(keepends=True)
    # Tracebacks show the lines of the cell.
    linecache.cache[NAME] = (len(source), None, lines, NAME)
    return module


def execute(source: str, namespace: dict[str, Any]) -> None:
    """Run a cell, and show the value of its last expression, unless a semicolon follows it."""
    tree = ast.parse(source, NAME)
    shows = tree.body and isinstance(tree.body[-1], ast.Expr) and not ends_in_semicolon(source)
    ending = [tree.body.pop()] if shows else []
    last = ast.Interactive(body=ending)
    loop = None
    for part, mode in ((tree, "exec"), (last, "single")):
        code = compile(part, NAME, mode, FLAGS, dont_inherit=True)
        value = eval(code, namespace)  # noqa: S307
        if code.co_flags & inspect.CO_COROUTINE:
            loop = loop or asyncio.new_event_loop()
            loop.run_until_complete(value)
    if loop is not None:
        loop.close()


def ends_in_semicolon(source: str) -> bool:
    """Check whether a semicolon is the last of a cell, but for spaces and comments."""
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [one.string for one in tokens if one.type not in blank][-1:] == [";"]


def collect(namespace: dict[str, Any], names: list[str]) -> bytes:
    """Return the pickled values of variables. Raises NameError or TypeError."""
    for name in names:
        if name not in namespace:
            raise NameError(f"--out {name}: the cell has made no variable of that name")
    return dumps({name: namespace[name] for name in names}, "--out")


def dumps(values: dict[str, Any], switch: str) -> bytes:
    """Return pickled variables; with cloudpickle, if installed, also what this session defines.

    Raises TypeError for the first that cannot be pickled.
    """
    try:
        from cloudpickle import dumps as dump  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        dump = pickle.dumps
    try:
        return bytes(dump(values))
    except Exception:
        for name, value in values.items():
            _check(dump, value, f"{switch} {name}")
        raise


def _check(dump: Callable[[Any], bytes], value: object, name: str) -> None:
    try:
        dump(value)
    except Exception as error:
        raise TypeError(f"{name}: it cannot be sent ({error})") from error


def digest(data: bytes) -> bytes:
    """Return a checksum of 16 bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def show(
    kind: type[BaseException], error: BaseException, frames: types.TracebackType | None
) -> None:
    """Print a traceback without the frames of this program; it is the process's excepthook."""
    while frames is not None and frames.tb_frame.f_code.co_filename != NAME:
        frames = frames.tb_next
    traceback.print_exception(kind, error, frames)


if __name__ == "__main__":
    main()
