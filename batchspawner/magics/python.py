"""Send Python cells to where they run, with the variables that they take and give."""

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
from .program import CellProgram
from .record import Sieve

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from .record import CellRecord


class PythonCellProgram(CellProgram):
    """Make cells archives that a Python runs; this Python, where `shell` names no other."""

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
        """Return the program that runs a cell. Raises SyntaxError, too, before anything waits."""
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

    def sieve(self) -> Sieve:
        return Sieve(self._mark, len(worker.digest(b"")))

    def deliver(self, record: CellRecord) -> None:
        """Put the values of a cell into their variables; by element, where it ran as an array."""
        if self._delivered is record or not self.outputs:
            return
        self._delivered = record
        results = [(one.name, one.sieve.result) for one in record.sources if one.sieve is not None]
        # A job that was started a second time has spoken twice.
        found = {name: self._values(result) for name, result in results if result is not None}
        if not found or set(found) != {name for name, _ in results}:
            raise self._torn()
        for name in self.outputs:
            by_element = {int(key): values[name] for key, values in found.items() if key}
            self.variables[name] = by_element or found[""][name]

    def _pickled(self) -> bytes:
        for name in self.inputs:
            if name not in self.variables:
                raise OptionsError("--in", name, "there is no such variable")
        try:
            return worker.dumps({name: self.variables[name] for name in self.inputs}, "--in")
        except TypeError as error:
            raise BatchError(str(error)) from error

    def _torn(self) -> BatchError:
        return BatchError(f"what the cell gives ({', '.join(self.outputs)}) is not all there")

    def _values(self, result: bytes) -> dict[str, Any]:
        if worker.digest(result[16:]) != result[:16]:
            raise self._torn()
        try:
            # The user's own job has sent it, over a connection that proved to be its.
            values: dict[str, Any] = pickle.loads(result[16:])  # noqa: S301
        except Exception as error:
            raise BatchError(f"what the cell gives cannot be read here: {error!r}") from error
        return values


def _heading(text: str) -> str:
    """Return the lines of comments with which a cell begins."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        lines.append(f"{line}\n")
    return "".join(lines)
