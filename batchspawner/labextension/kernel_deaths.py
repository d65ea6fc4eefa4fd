"""Kernels of this server that were killed because the memory of its job ran out."""

from __future__ import annotations

import signal
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ..agent.oom import oom_kills

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_INTERVAL_S = 2.0
"""Between two looks for kernels that have been started."""

_MAX_LOOKS = 5
"""Number of looks after which a kill is taken to be that of something else than a kernel."""


class Kernels(Protocol):
    """What is used of a Jupyter server's manager of kernels."""

    def list_kernel_ids(self) -> list[str]: ...

    def get_kernel(self, kernel_id: str) -> Any: ...

    def add_restart_callback(
        self, kernel_id: str, callback: Callable[[], None], event: str
    ) -> None: ...


class KernelDeaths:
    """The kernels of a server, each of which is looked at when it has died.

    `announce` is called with the id of one that was killed for memory. The operating system only
    counts such kills in the whole job, so a kernel is one of them if it was killed while a kill was
    counted that is not known to be another's.
    """

    def __init__(self, kernels: Kernels, announce: Callable[[str], None]) -> None:
        self._kernels, self._announce = kernels, announce
        self._watched: set[str] = set()
        self._explained = oom_kills()
        self._counts: deque[int] = deque(maxlen=_MAX_LOOKS)

    def look(self) -> None:
        """Watch the kernels that have been started since the last look."""
        if len(self._counts) == _MAX_LOOKS:
            self._explained = max(self._explained, self._counts[0])
        self._counts.append(oom_kills())
        known = set(self._kernels.list_kernel_ids())
        self._watched &= known
        for kernel_id in known - self._watched:
            # Until it runs, nothing watches it that could call us.
            ready = getattr(self._kernels.get_kernel(kernel_id), "ready", None)
            if ready is None or ready.done():
                self._watched.add(kernel_id)
                self._watch(kernel_id)

    def _watch(self, kernel_id: str) -> None:
        def died() -> None:
            if self._was_killed(kernel_id) and oom_kills() > self._explained:
                self._explained += 1
                self._announce(kernel_id)

        for event in ("restart", "dead"):
            self._kernels.add_restart_callback(kernel_id, died, event)

    def _was_killed(self, kernel_id: str) -> bool:
        provisioner = self._kernels.get_kernel(kernel_id).provisioner
        # Kernels in jobs of their own have no process here, and tell themselves how they died.
        process = getattr(provisioner, "process", None)
        return getattr(process, "returncode", None) == -signal.SIGKILL
