"""Dispatchers: a distributed call becomes a job, a process, a plain call, or a record of it."""

from __future__ import annotations

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
        options = _command_options(conf, simple_slurm_kwargs)
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
    """Dispatcher that calls functions at once, in this process.

    What a function raises is raised where it was distributed, after the other calls of its bundle.
    """

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        del options
        count_submit()
        for call, future in zip(calls, futures):
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call.function(*call.args, **call.kwargs))
            except Exception as error:  # noqa: BLE001  (raised below)
                future.set_exception(error)
        _raise_first(futures)

    def is_sequential(self) -> bool:
        return True


class SubprocessDispatcher(Dispatcher):
    """Dispatcher that calls functions in a process of their own, one after the other.

    What they print is printed here. What a function raises is raised where it was distributed,
    after the other calls of its bundle.
    """

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        from ..executor.executor import Executor

        del options
        count_submit()
        with Executor("processes", workers=1) as executor:
            for call, future in zip(calls, futures):
                if future.set_running_or_notify_cancel():
                    inner = executor.submit(call.function, *call.args, **call.kwargs)
                    _settle(future, inner)
        _raise_first(futures)

    def is_sequential(self) -> bool:
        return True


class TestDispatcher(Dispatcher):
    """Dispatcher for tests: it checks, records and prints what it is given, and runs nothing."""

    __test__ = False

    def __init__(self) -> None:
        self.calls: list[list[FunctionCall]] = []
        self.sruns: list[str] = []
        self.sbatches: list[str] = []

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        count_submit()
        _ = [call.packed for call in calls]  # raises CannotTravel
        self.calls.append(list(calls))
        self._print("function" if len(calls) == 1 else "bundle", calls, options)
        for future in futures:
            future.set_result(None)

    def sbatch(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        return self._record("sbatch", command, self.sbatches, conf, simple_slurm_kwargs)

    def srun(
        self,
        command: str | Sequence[str],
        conf: Mapping[str, object] | None = None,
        simple_slurm_kwargs: Mapping[str, object] | None = None,
    ) -> JobFuture:
        return self._record("srun", command, self.sruns, conf, simple_slurm_kwargs)

    def _record(
        self,
        kind: str,
        command: str | Sequence[str],
        commands: list[str],
        *given: Mapping[str, object] | None,
    ) -> JobFuture:
        count_submit()
        commands.append(_text(command))
        self._print(kind, commands[-1:], _command_options(*given))
        future = JobFuture()
        future.set_result(0)
        return future

    def _print(self, kind: str, lines: Sequence[object], options: DispatchOptions) -> None:
        words = [f"{name}={value!r}" for name, value in options.resources.items()]
        words += [f"{one.method} {', '.join(map(str, one.jobs))}".strip() for one in options.after]
        print(f"[not submitted] {kind} with {', '.join(words) or 'no options'}:")
        for line in lines:
            print(f"    {line}")

    def is_sequential(self) -> bool:
        return True


def _settle(future: JobFuture, done: concurrent.futures.Future[Any]) -> None:
    """Settle a running future as another one was."""
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def _raise_first(futures: Sequence[JobFuture]) -> None:
    """Raise what the first of the calls that have failed has raised."""
    for future in futures:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error


def _command_options(*given: Mapping[str, object] | None) -> DispatchOptions:
    """Return the options of a command's job: those given, on top of the default configuration."""
    conf, more = (one or {} for one in given)
    return DispatchOptions({**default_configuration(), **dict(**conf, **more)})


def _text(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)
