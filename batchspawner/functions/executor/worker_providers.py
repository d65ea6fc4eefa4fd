"""Worker handles and worker providers, as a pool sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..protocol.results import read_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ..function_job import FunctionJob
    from ..protocol.worker import Frame, Header
    from .progress_file import ProgressFile


class WorkerHandle(Protocol):
    """Connection to one worker."""

    name: str
    job: FunctionJob | None
    spool: Path | None
    """Folder in which large results are files; None if the worker shares none with us."""

    @property
    def is_ending(self) -> bool:
        """Whether its job ends so soon that it should begin nothing more."""

    async def send(self, data: bytes) -> None:
        """Send frames to the worker; it is not an error if it has ended."""

    def answers(self) -> AsyncIterator[Frame]:
        """Yield the worker's frames until it ends."""

    async def exit_reason(self) -> BaseException:
        """Return why a worker ended that still had calls."""

    def finish(self) -> None:
        """Send nothing more: the worker ends when it has done its calls."""

    async def detach(self) -> None:
        """Do the same, and make its job end then even if this process has ended."""


class WorkerProvider:
    """Source of workers. `Pool` sets the callbacks."""

    progress: ProgressFile | None = None
    """The file with the numbers of calls, for workers in jobs of this machine."""

    results = "pickle"
    """What workers send: ``pickle``, which can run code here, or ``json``."""

    on_worker: Callable[[WorkerHandle], None]
    """Called with the handle of each worker that has started."""

    on_failure: Callable[[int, BaseException], None]
    """Called with a number of workers that will not start, and why."""

    on_requeue: Callable[[int], None]
    """Called with a number of workers that will start again, in jobs that were requeued."""

    def choose_results(self, kind: str) -> None:
        """Make workers send ``pickle`` or ``json``. Raises ValueError for anything else."""
        if kind not in ("pickle", "json"):
            raise ValueError(f"results must be 'pickle' or 'json', not {kind!r}")
        self.results = kind

    def read_result(
        self, header: Header, data: bytes, folder: Path | None
    ) -> tuple[object, BaseException | None]:
        """Return what a worker has sent; without trust, nothing of it is unpickled."""
        return read_result(header, data, folder, trusted=self.results != "json")

    async def request_workers(self, count: int) -> None:
        """Request more workers; a callback is called for each, now or later."""
        raise NotImplementedError

    async def close(self) -> None:
        """Release everything; called when no worker has anything to do."""

    async def cancel_requests(self) -> None:
        """Cancel the requests for workers that have not started yet."""
