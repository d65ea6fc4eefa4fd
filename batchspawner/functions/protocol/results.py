"""Read what a worker answers: a value, or an exception as if it had been raised here."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import BatchError
from . import worker

if TYPE_CHECKING:
    from collections.abc import Mapping


class RemoteTraceback(Exception):
    """Show where an exception was raised in the job; it is the exception's cause."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class RemoteError(BatchError):
    """Stand for an exception of a job that cannot travel itself."""


class PythonMismatch(BatchError):
    """Report that the Python of the job cannot read what this one writes."""


def read_result(header: Mapping[str, Any], data: bytes) -> tuple[Any, BaseException | None]:
    """Return the value of an answer, and the exception of one that tells an error."""
    if header.get("file"):
        path = Path(header["file"])
        data = path.read_bytes()
        path.unlink()
    try:
        if header["type"] == "result":
            return _load(header["form"], data), None
        error = None if header["form"] == "text" else _load("pickle", data)
    except Exception as problem:  # noqa: BLE001  (whatever a class does when it is unpickled)
        return None, _unreadable(header, problem)
    if not isinstance(error, BaseException):
        error = RemoteError(f"{header['name']}: {header['message']}")
    error.__cause__ = RemoteTraceback(header["text"])
    return None, error


def _load(form: str, data: bytes) -> Any:
    # Classes of a script that a worker has loaded are called so there, as in multiprocessing.
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    return worker.load(form, data)


def _unreadable(header: Mapping[str, Any], problem: Exception) -> RemoteError:
    what = "result" if header["type"] == "result" else "exception"
    told = f"\n{header['text']}" if header.get("text") else ""
    kind = "cannot be unpickled" if isinstance(problem, pickle.UnpicklingError) else "is unreadable"
    error = RemoteError(f"the job's {what} {kind} here: {type(problem).__name__}: {problem}{told}")
    error.__cause__ = problem
    return error


def mismatch(python: list[int]) -> PythonMismatch | None:
    """Compare a worker's Python with this one, and return what is wrong with it in words."""
    if python[:2] == list(sys.version_info[:2]):
        return None
    here, there = (".".join(map(str, one)) for one in (sys.version_info[:3], python))
    return PythonMismatch(
        f"the job runs Python {there} and this program Python {here}: pickled functions and "
        "arguments do not survive that. Start the job with the same Python "
        "(python=..., or a prologue that activates the same environment)."
    )
