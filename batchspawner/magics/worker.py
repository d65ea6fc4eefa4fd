"""The program that runs a Python cell: the main module of a `PythonCellProgram`.

It imports the standard library only; the variables that it unpickles may import more.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import inspect
import json
import linecache
import os
import pickle
import sys
import traceback
import types
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "<cell>"
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def main() -> None:
    """Run the cell of the archive that this program is in."""
    # Programs that the cell starts do not inherit it.
    channel = os.fdopen(os.dup(1), "wb")
    with zipfile.ZipFile(sys.argv[0]) as archive:
        settings = json.loads(archive.read("settings"))
        source = archive.read("cell").decode()
        inputs = archive.read("inputs")
    namespace = prepare(source)
    namespace.update(pickle.loads(inputs))  # noqa: S301  (our own user has sent it)
    try:
        execute(source, namespace)
    except SystemExit as end:
        # The cell has succeeded, so its variables count.
        if end.code not in (None, 0):
            raise
    result = collect(namespace, settings["outputs"])
    # The cell may have closed or replaced it.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()
    mark = bytes.fromhex(settings["mark"])
    channel.write(mark + len(result).to_bytes(8, "big") + digest(result) + result)
    channel.close()


def prepare(source: str) -> dict[str, Any]:
    """Set up the process as a notebook does for its cells, and return the cell's namespace."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
    sys.argv, sys.path[0], sys.excepthook = [""], "", show
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    lines = source.splitlines(keepends=True)
    # Tracebacks show the lines of the cell.
    linecache.cache[NAME] = (len(source), None, lines, NAME)
    return module.__dict__


def execute(source: str, namespace: dict[str, Any]) -> None:
    """Run a cell, and print the value of its last expression."""
    tree = ast.parse(source, NAME)
    ending = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
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
