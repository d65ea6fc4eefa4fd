"""Programs that backends run, made of the text of a cell: scripts, and archives of Python."""

from __future__ import annotations

import io
import json
import pickle
import secrets
import shlex
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BatchError, OptionsError
from . import worker
from .record import MessageExtractor

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from .record import CellRecord


class CellProgram:
    """Program of a cell that is a script for a shell, or for another interpreter."""

    must_succeed = False
    """Whether the notebook's cell always fails if the program fails."""

    def __init__(self, shell: str) -> None:
        self.shell = shell

    def script(self, text: str) -> bytes:
        """Return the script of a cell. Raises OptionsError."""
        end = "" if text.endswith("\n") else "\n"
        return f"#!{self.shell}\n{text}{end}".encode()

    def message_extractor(self) -> MessageExtractor | None:
        """Return a new filter for the output of one run, None if that has no messages."""
        return None

    def deliver(self, record: CellRecord) -> None:
        """Store the results of a cell that succeeded, once."""


class PythonCellProgram(CellProgram):
    """Program of a Python cell: an archive that `shell` runs, by default this Python."""

    must_succeed = True

    def __init__(
        self,
        shell: str | None,
        variables: MutableMapping[str, Any],
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> None:
        super().__init__(shell or shlex.quote(sys.executable))
        self.variables = variables
        self.inputs = inputs
        self.outputs = outputs
        self._same = shell is None
        # A program that prints text prints no zero byte.
        self._mark = b"\0" + secrets.token_bytes(15)
        self._delivered: CellRecord | None = None

    def script(self, text: str) -> bytes:
        """Return the archive of a cell. Raises SyntaxError too, before a job is submitted."""
        if self._same:
            compile(text, worker.NAME, "exec", worker.FLAGS, dont_inherit=True)
        settings = {"outputs": list(self.outputs), "mark": self._mark.hex()}
        packed = io.BytesIO()
        # A scheduler's own lines come first: Python finds an archive behind anything.
        packed.write(_heading(text).encode())
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr("__main__.py", Path(worker.__file__).read_bytes())
            archive.writestr("settings", json.dumps(settings))
            archive.writestr("cell", text)
            archive.writestr("inputs", self._pickled())
        return packed.getvalue()

    def message_extractor(self) -> MessageExtractor:
        return MessageExtractor(self._mark)

    def deliver(self, record: CellRecord) -> None:
        """Set the notebook's variables to the values of a cell; by element if it was an array."""
        if self._delivered is record or not self.outputs:
            return
        self._delivered = record
        results = {name: self._values(result) for name, result in _results(record)}
        if not results or set(results) != {one.name for one in record.sources}:
            raise self._incomplete()
        for name in self.outputs:
            by_element = {int(key): values[name] for key, values in results.items() if key}
            self.variables[name] = by_element or results[""][name]

    def _pickled(self) -> bytes:
        for name in self.inputs:
            if name not in self.variables:
                raise OptionsError("--in", name, "there is no such variable")
        try:
            return worker.dumps({name: self.variables[name] for name in self.inputs}, "--in")
        except TypeError as error:
            raise BatchError(str(error)) from error

    def _incomplete(self) -> BatchError:
        return BatchError(f"what the cell gives ({', '.join(self.outputs)}) is not all there")

    def _values(self, result: bytes) -> dict[str, Any]:
        try:
            # The user's own job has sent it, over an authenticated connection.
            values: dict[str, Any] = pickle.loads(result)  # noqa: S301
        except Exception as error:
            raise BatchError(f"what the cell gives cannot be read here: {error!r}") from error
        return values


def _results(record: CellRecord) -> Iterator[tuple[str, bytes]]:
    """Yield the results that have arrived, and the elements that have sent them."""
    # A job that was started a second time has sent two: the last one counts.
    for source in record.sources:
        if source.result is not None:
            yield source.name, source.result


def _heading(text: str) -> str:
    """Return the comments at the beginning of a cell."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        lines.append(f"{line}\n")
    return "".join(lines)
