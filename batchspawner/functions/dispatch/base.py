"""Dispatchers: a distributed call becomes a job, a process, a plain call, or a record of it."""

from __future__ import annotations

import logging
import shlex
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ..calls import DispatchOptions, FunctionCall
from ..defaults import default_configuration
from ..futures import JobFuture
from ..submit_limits import count_submit
from .shell_command import shell

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)


class Dispatcher(ABC):
    """What takes distributed calls and runs them."""

    @abstractmethod
    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        """Run calls one after the other, as one job, and settle the future of each."""

    def distribute(
        self,
        call: FunctionCall,
        options: DispatchOptions,
        *,
        alone: bool = False,  # noqa: ARG002
    ) -> JobFuture:
        """Dispatch one call; with `alone` it joins no bundle, because somebody waits for it."""
        future = JobFuture()
        self.dispatch([call], [future], options)
        return future

    def sbatch(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        """Submit a shell command as a job, and return its future, whose value is 0."""
        given = dict(**(conf or {}), **(simple_slurm_kwargs or {}))
        options = DispatchOptions({**default_configuration(), **given})
        return self.distribute(FunctionCall(shell, (_text(command),), {}), options, alone=True)

    def srun(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        """Run a shell command as a job, print its output here, and wait for its end."""
        future = self.sbatch(command, conf, simple_slurm_kwargs)
        future.log(follow=True)
        return future

    def is_sequential(self) -> bool:
        """Return whether each call is done when `dispatch` returns."""
        return False

    def join(self) -> None:  # noqa: B027  (nothing to do if each call is done at once)
        """Make all later jobs wait for all earlier ones."""


class DirectCallDispatcher(Dispatcher):
    """Dispatcher that calls functions at once, in this process."""

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        del options
        for call, future in zip(calls, futures):
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call.function(*call.args, **call.kwargs))
            except Exception as error:
                log.exception("%s has raised", call)
                future.set_exception(error)

    def is_sequential(self) -> bool:
        return True


class SubprocessDispatcher(Dispatcher):
    """Dispatcher that calls functions in a process of their own, one after the other."""

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        from ..executor.executor import Executor

        del options
        with Executor("processes", workers=1) as executor:
            for call, future in zip(calls, futures):
                inner = executor.submit(call.function, *call.args, **call.kwargs)
                if future.set_running_or_notify_cancel():
                    _settle(future, inner)

    def is_sequential(self) -> bool:
        return True


class TestDispatcher(Dispatcher):
    """Dispatcher for tests: it checks and records calls, and runs nothing."""

    __test__ = False

    def __init__(self) -> None:
        self.calls: list[list[FunctionCall]] = []
        self.sruns: list[str] = []
        self.sbatches: list[str] = []

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        del options
        count_submit()
        _ = [call.packed for call in calls]  # raises CannotTravel
        self.calls.append(list(calls))
        for future in futures:
            future.set_result(None)

    def sbatch(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        del conf, simple_slurm_kwargs
        return self._record(command, self.sbatches)

    def srun(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        del conf, simple_slurm_kwargs
        return self._record(command, self.sruns)

    def _record(self, command: str | Sequence[str], commands: list[str]) -> JobFuture:
        count_submit()
        commands.append(_text(command))
        future = JobFuture()
        future.set_result(0)
        return future

    def is_sequential(self) -> bool:
        return True


def _settle(future: JobFuture, done: concurrent.futures.Future[Any]) -> None:
    """Settle a running future as another one was."""
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def _text(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)
