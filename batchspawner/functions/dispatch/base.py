"""Say what becomes of a distributed call: a job, a process, a plain call, or a note of it."""

from __future__ import annotations

import logging
import shlex
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ..function import DispatchOptions, FunctionCall
from ..futures import JobFuture
from ..submit_limits import count_submit
from .shell_command import shell

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)


class Dispatcher(ABC):
    """Take calls, and see that they are done."""

    @abstractmethod
    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        """Have calls done one after the other, as one job; each future gets what comes of it."""

    def distribute(
        self,
        call: FunctionCall,
        options: DispatchOptions,
        *,
        alone: bool = False,  # noqa: ARG002
    ) -> JobFuture:
        """Take one call; `alone` says that somebody waits for it, so that it joins no bundle."""
        future = JobFuture()
        self.dispatch([call], [future], options)
        return future

    def sbatch(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, Any] | None = None,
        simple_slurm_kwargs: Mapping[str, Any] | None = None,
    ) -> JobFuture:
        """Have a shell command run as a job, and return its future, whose value is 0."""
        options = shell.with_options(**(conf or {}), **(simple_slurm_kwargs or {})).make_options()
        return self.distribute(FunctionCall(shell, (_text(command),), {}), options, alone=True)

    def srun(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, Any] | None = None,
        simple_slurm_kwargs: Mapping[str, Any] | None = None,
    ) -> JobFuture:
        """Have a shell command run as a job, print what it prints, and wait for its end."""
        future = self.sbatch(command, conf, simple_slurm_kwargs)
        future.log(follow=True)
        return future

    def is_sequential(self) -> bool:
        """Say whether each call is done when `dispatch` returns."""
        return False

    def join(self) -> None:  # noqa: B027  (nothing to do where each call is done at once)
        """Let all that is distributed later wait for all that was distributed before."""


class DirectCallDispatcher(Dispatcher):
    """Call functions here and now."""

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        del options
        for call, future in zip(calls, futures):
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call.function.run_locally(*call.args, **call.kwargs))
            except Exception as error:
                log.exception("%s has raised", call)
                future.set_exception(error)

    def is_sequential(self) -> bool:
        return True


class SubprocessDispatcher(Dispatcher):
    """Call functions in a process of their own, one after the other."""

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        from ..executor.executor import Executor

        del options
        with Executor("processes", workers=1) as executor:
            for call, future in zip(calls, futures):
                inner = executor.submit(call.function, *call.args, **call.kwargs)
                if future.set_running_or_notify_cancel():
                    settle(future, inner)

    def is_sequential(self) -> bool:
        return True


class TestDispatcher(Dispatcher):
    """Note what is distributed, check that it could be, and do nothing; for tests."""

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
        _ = [call.packed for call in calls]  # raises where one could not travel
        self.calls.append(list(calls))
        for future in futures:
            future.set_result(None)

    def sbatch(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, Any] | None = None,
        simple_slurm_kwargs: Mapping[str, Any] | None = None,
    ) -> JobFuture:
        del conf, simple_slurm_kwargs
        return self._note(command, self.sbatches)

    def srun(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, Any] | None = None,
        simple_slurm_kwargs: Mapping[str, Any] | None = None,
    ) -> JobFuture:
        del conf, simple_slurm_kwargs
        return self._note(command, self.sruns)

    def _note(self, command: str | Sequence[str], where: list[str]) -> JobFuture:
        count_submit()
        where.append(_text(command))
        future = JobFuture()
        future.set_result(0)
        return future

    def is_sequential(self) -> bool:
        return True


_current: Dispatcher | None = None


def get_dispatcher() -> Dispatcher:
    """Return what takes the calls: by default, this machine's scheduler or the embedded queue."""
    global _current
    if _current is None:
        from .batch import BatchDispatcher

        _current = BatchDispatcher()
    return _current


def set_dispatcher(dispatcher: Dispatcher | None) -> None:
    """Have another dispatcher take all calls from now on, None for the default one."""
    global _current
    _current = dispatcher


def srun(
    command: str | Sequence[str],
    conf: Mapping[str, Any] | None = None,
    simple_slurm_kwargs: Mapping[str, Any] | None = None,
) -> JobFuture:
    """Run a shell command as a job, and wait for its end; its output is printed here."""
    return get_dispatcher().srun(command, conf, simple_slurm_kwargs)


def sbatch(
    command: str | Sequence[str],
    conf: Mapping[str, Any] | None = None,
    simple_slurm_kwargs: Mapping[str, Any] | None = None,
) -> JobFuture:
    """Run a shell command as a job, and return its future at once."""
    return get_dispatcher().sbatch(command, conf, simple_slurm_kwargs)


def join() -> None:
    """Let all that is distributed from now on wait for all that was distributed before."""
    get_dispatcher().join()


def settle(future: JobFuture, done: concurrent.futures.Future[Any]) -> None:
    """Give a running future what came of another."""
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def _text(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)
