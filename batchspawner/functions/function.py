"""Functions that can run as jobs: the decorator `slurmify` and what it returns."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, overload

from .calls import METHODS, Dependency, DispatchOptions, FunctionCall
from .defaults import default_configuration
from .protocol import main_module
from .submit_limits import refuse_recursion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .futures import JobFuture

    Job = Union[JobFuture, int, str]

_known: dict[tuple[str, str], int] = {}
_entry_point = ""


class SlurmFunction:
    """Function that can also be distributed; a plain call of it runs in this process.

    `options` are what its jobs ask for, on top of the default configuration.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, object],
        after: tuple[Dependency, ...] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = dict(options)
        self.after = after

    __qualname__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def run_locally(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in this process."""
        return self.function(*args, **kwargs)

    def distribute(self, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit a job that calls the function, and return its future at once.

        Raises TypeError for arguments that the function does not take, CannotTravel for what
        cannot be sent, SubmitError if the scheduler refuses the job.
        """
        return self._distribute(args, kwargs)

    def distribute_and_wait(self, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit the call as a job of its own, print its output, and wait for its end."""
        future = self._distribute(args, kwargs, alone=True)
        future.log(follow=True)
        return future

    def wait_for(self, job_ids: Job | Iterable[Job], method: str = "afterany") -> SlurmFunction:
        """Return a copy of the function whose jobs wait for other jobs.

        `job_ids` are futures or ids of jobs, one or several; `method` is one of after, afterany,
        afternotok, afterok and singleton. Raises RuntimeError for an empty list of jobs, unless
        the dispatcher runs each call at once anyway, and ValueError for another method.
        """
        from .dispatch.current_dispatcher import get_dispatcher

        if method not in METHODS:
            raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
        jobs = _listed(job_ids)
        if not jobs and method != "singleton" and not get_dispatcher().is_sequential():
            raise RuntimeError(
                f"{self.__qualname__} is to wait for no job at all. In a bundle, flush() inside "
                "the with block returns the jobs."
            )
        return type(self)(self.function, self.options, (*self.after, Dependency(method, jobs)))

    def with_options(self, **options: object) -> SlurmFunction:
        """Return a copy of the function with other options on top of its own."""
        return type(self)(self.function, {**self.options, **options}, self.after)

    def update_options(self, conf: Mapping[str, object]) -> None:
        """Change the options of this function itself."""
        self.options.update(conf)

    @property
    def func_id(self) -> str:
        """The file that defines the function and its qualified name, with a colon between them."""
        return f"{self.get_entry_point()}:{self.__qualname__}"

    @property
    def entry_point(self) -> str:
        """The script in which a job finds the function; empty if it is not in a script."""
        if not main_module.is_main(self.__module__):
            return ""
        return _entry_point or main_module.main_file()

    def get_entry_point(self) -> Path:
        """Return the file that defines the function."""
        return Path(self.entry_point or inspect.getsourcefile(self.function) or "")

    def make_options(self) -> DispatchOptions:
        """Return what a job of the function asks for, with the defaults, and what it waits for."""
        return DispatchOptions({**default_configuration(), **self.options}, self.after)

    def _distribute(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, alone: bool = False
    ) -> JobFuture:
        from .dispatch.current_dispatcher import get_dispatcher

        inspect.signature(self.function).bind(*args, **kwargs)
        refuse_recursion(f"{self.__qualname__} was to be distributed")
        call = FunctionCall(self, args, kwargs)
        return get_dispatcher().distribute(call, self.make_options(), alone=alone)

    def __repr__(self) -> str:
        return f"<SlurmFunction {self.__qualname__}>"


@overload
def slurmify(f: Callable[..., Any], **options: object) -> SlurmFunction: ...


@overload
def slurmify(
    f: None = None, **options: object
) -> Callable[[Callable[..., Any]], SlurmFunction]: ...


def slurmify(
    f: Callable[..., Any] | None = None, **options: object
) -> SlurmFunction | Callable[[Callable[..., Any]], SlurmFunction]:
    """Make a function distributable: ``@slurmify`` or ``@slurmify(queue="long", memory="4G")``.

    `options` are what a job asks for: ``queue``, ``account``, ``nprocs`` (cores), ``gpus``,
    ``memory`` such as ``4G``, ``runtime`` such as ``2h`` or ``1-12:00:00``, and so on. Options that
    are not common to all schedulers are passed to the scheduler as they are. Raises RuntimeError
    if a script defines two functions of one name.
    """

    def decorate(function: Callable[..., Any]) -> SlurmFunction:
        _register(function)
        return SlurmFunction(function, options)

    return decorate if f is None else decorate(f)


def set_entry_point(entry_point: str | Path) -> None:
    """Name the script in which jobs find the functions of ``__main__``.

    A script is found by itself. In a notebook or an interpreter this is optional: without it,
    functions are sent by value. Raises FileNotFoundError, or ValueError for a file that is not
    Python.
    """
    global _entry_point
    path = Path(entry_point).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"entry point {path}: there is no such file")
    if path.suffix != ".py":
        raise ValueError(f"entry point {path}: it has to be a .py file")
    _entry_point = str(path)


def _register(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is None or "<" in function.__qualname__ or "<" in code.co_filename:
        return
    key = (str(code.co_filename), function.__qualname__)
    line = int(code.co_firstlineno)
    if _known.setdefault(key, line) != line and Path(key[0]).exists():
        raise RuntimeError(
            f"Multiple function definitions! {key[0]} has {key[1]} in line {_known[key]} and in "
            f"line {line}; a job would find the latter only."
        )


def _listed(jobs: Job | Iterable[Job]) -> tuple[Job, ...]:
    from .futures import JobFuture

    kinds = (JobFuture, int, str)
    found = (jobs,) if isinstance(jobs, kinds) else tuple(jobs)
    for one in found:
        if not isinstance(one, kinds) or isinstance(one, bool):
            raise RuntimeError(f"{one!r} is not a job; wait for futures or for ids of jobs")
    return found
