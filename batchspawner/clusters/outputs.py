"""Clients of a cluster, and their connection to the outputs of its engines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from ipyparallel import Client

_OUTPUT_TIMEOUT_S = 5.0
"""How long we wait for outputs: an engine may be busy with the work of another client."""

_RETRY_INTERVAL_S = 0.3
"""How long we wait for an output, which may be lost, before we ask for another one."""


class _AsyncResult(Protocol):
    def wait_for_output(self, timeout: float) -> bool: ...


class _View(Protocol):
    def execute(self, code: str, silent: bool, block: bool) -> _AsyncResult: ...


class Engines(Protocol):
    """What we use of ipyparallel's Client."""

    @property
    def ids(self) -> list[int]: ...

    def __getitem__(self, key: slice) -> _View: ...


def new_client(connection_file: Path, profile_dir: Path) -> Client:
    """Return ipyparallel's client for a connection file."""
    from ipyparallel import Client

    return Client(str(connection_file), profile_dir=str(profile_dir))


def await_outputs(client: Engines) -> None:
    """Return when the outputs of all engines arrive.

    They have a connection of their own, which may come later than that for tasks, above all
    through ssh; what is printed before that is lost.
    """
    end = time.monotonic() + _OUTPUT_TIMEOUT_S
    while client.ids and time.monotonic() < end:
        asked = client[:].execute("", silent=True, block=False)
        if asked.wait_for_output(_RETRY_INTERVAL_S):
            return
