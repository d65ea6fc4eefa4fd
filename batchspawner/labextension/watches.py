"""The watches of all listed jobs, in the monitors that the whole process shares."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..client.batch_client import BatchClient

if TYPE_CHECKING:
    from ..client.watch import Watch


class Watches:
    """Open watches by the ids of their rows, and the clients that they come from."""

    def __init__(self) -> None:
        self.open: dict[str, Watch] = {}
        self._clients: dict[str, BatchClient | None] = {}

    def client(self, scheduler: str) -> BatchClient | None:
        """Return the client of a scheduler, None if there is no scheduler of this name."""
        if scheduler not in self._clients:
            try:
                self._clients[scheduler] = BatchClient(scheduler)
            except LookupError:
                self._clients[scheduler] = None
        return self._clients[scheduler]

    def watch(self, key: str, scheduler: str, job_id: str, interval: float) -> Watch | None:
        """Return the watch of a row, at an interval in seconds; None if its job has none."""
        client = self.client(scheduler)
        if client is not None and key not in self.open:
            with contextlib.suppress(ValueError):
                self.open[key] = client.watch(job_id, interval)
        return self.open.get(key)

    def close_others(self, wanted: set[str]) -> None:
        """Close the watches of all rows but these."""
        for key in set(self.open) - wanted:
            self.open.pop(key).close()
