"""Mark functions that can run as jobs."""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .defaults import default_configuration
from .submit_limits import refuse_recursion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .futures import JobFuture
    from .protocol import payload

METHODS = ("after", "afterany", "afternotok", "afterok", "singleton")

_known: dict[tuple[str, str], int] = {}
_entry_point = ""


@dataclass(frozen=True)
class Dependency:
    """Say which jobs a job waits for, and until what of them."""

    method: str
    jobs: tuple[Any, ...] = ()


@dataclass(frozen=True)
class DispatchOptions:
    """Hold what a job asks for, and what it waits for."""

    resources: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[Dependency, ...] = ()

    @property
    def key(self) -> object:
        """What is equal for calls that can share a job."""
        return repr(sorted(self.resources.items())), self.after


@dataclass(frozen=True)
class FunctionCall:
    """Hold a call that is to be distributed."""

    function: SlurmFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def func_id(self) -> str:
        return self.function.func_id

    @functools.cached_property
    def packed(self) -> payload.PackedCall:
        """The call as it travels. Raises CannotTravel."""
        from .protocol.payload import make_call

        return make_call(self.function, self.args, self.kwargs)

    def __str__(self) -> str:
        named = [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.function.__qualname__}({', '.join([*map(repr, self.args), *named])})"


class SlurmFunction:
    """Be a function that can also be distributed; a plain call of it runs here.

    `options` are what its jobs ask for, on top of the default configuration.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, Any],
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
        """Call the function here."""
        return self.function(*args, **kwargs)

    def distribute(self, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit a job that calls the function, and return its future at once.

        Raises TypeError for arguments that the function does not take, CannotTravel for what
        cannot be sent, SubmitError where the scheduler refuses.
        """
        return self._distribute(args, kwargs)

    def distribute_and_wait(self, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit a job of its own for the call, print what it prints, and wait for its end."""
        future = self._distribute(args, kwargs, alone=True)
        future.log(follow=True)
        return future

    def wait_for(self, job_ids: Any, method: str = "afterany") -> SlurmFunction:
        """Return the function with a dependency: its jobs wait for others.

        `job_ids` are futures or ids of jobs, one or several; `method` is one of after, afterany,
        afternotok, afterok and singleton. Raises RuntimeError for no job at all, unless each call
        is done at once anyway.
        """
        from .dispatch.base import get_dispatcher

        if method not in METHODS:
            raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
        jobs = _listed(job_ids)
        if not jobs and method != "singleton" and not get_dispatcher().is_sequential():
            raise RuntimeError(
                f"{self.__qualname__} is to wait for no job at all. In a bundle, flush() inside "
                "the with block returns the jobs."
            )
        return type(self)(self.function, self.options, (*self.after, Dependency(method, jobs)))

    def with_options(self, **options: Any) -> SlurmFunction:
        """Return the function with other options on top of its own."""
        return type(self)(self.function, {**self.options, **options}, self.after)

    def update_options(self, conf: Mapping[str, Any]) -> None:
        """Change the options of this function itself."""
        self.options.update(conf)

    @property
    def func_id(self) -> str:
        return f"{self.get_entry_point()}:{self.__qualname__}"

    @property
    def entry_point(self) -> str:
        """The script in which a job finds the function, empty where it is not in a script."""
        if self.__module__ not in ("__main__", "__mp_main__"):
            return ""
        return _entry_point or _main_file()

    def get_entry_point(self) -> Path:
        """Return the file in which the function is."""
        return Path(self.entry_point or inspect.getsourcefile(self.function) or "")

    def make_options(self) -> DispatchOptions:
        return DispatchOptions({**default_configuration(), **self.options}, self.after)

    def _distribute(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, alone: bool = False
    ) -> JobFuture:
        from .dispatch.base import get_dispatcher

        inspect.signature(self.function).bind(*args, **kwargs)
        refuse_recursion(f"{self.__qualname__} was to be distributed")
        call = FunctionCall(self, args, kwargs)
        return get_dispatcher().distribute(call, self.make_options(), alone=alone)

    def __repr__(self) -> str:
        return f"<SlurmFunction {self.__qualname__}>"


def slurmify(f: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Make a function distributable: ``@slurmify`` or ``@slurmify(queue="long", memory="4G")``.

    Options that are not common to all schedulers go to the scheduler as they are. Raises
    RuntimeError where a script has two functions of one name.
    """

    def decorate(function: Callable[..., Any]) -> SlurmFunction:
        _register(function)
        return SlurmFunction(function, options)

    return decorate if f is None else decorate(f)


def set_entry_point(entry_point: str | Path) -> None:
    """Name the script in which jobs find the functions of ``__main__``.

    A script needs no help; a notebook or an interpreter can name one, or leave it: then functions
    travel by value. Raises FileNotFoundError, or ValueError for what is no Python file.
    """
    global _entry_point
    path = Path(entry_point).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"entry point {path}: there is no such file")
    if path.suffix != ".py":
        raise ValueError(f"entry point {path}: it has to be a .py file")
    _entry_point = str(path)


def _main_file() -> str:
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    # A zip archive, a folder or an installed program is no file that can be loaded again.
    return str(Path(file).resolve()) if file and str(file).endswith(".py") else ""


def _register(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is None or "<" in function.__qualname__ or "<" in code.co_filename:
        return
    key = (code.co_filename, function.__qualname__)
    if _known.setdefault(key, code.co_firstlineno) != code.co_firstlineno and Path(key[0]).exists():
        raise RuntimeError(
            f"Multiple function definitions! {key[0]} has {key[1]} in line {_known[key]} and in "
            f"line {code.co_firstlineno}; a job would find the latter only."
        )


def _listed(jobs: Any) -> tuple[Any, ...]:
    from .futures import JobFuture

    several: Iterable[Any] = [jobs] if isinstance(jobs, (JobFuture, int, str)) else jobs
    found = tuple(several)
    for one in found:
        if not isinstance(one, (JobFuture, int, str)) or isinstance(one, bool):
            raise RuntimeError(f"{one!r} is not a job; wait for futures or for ids of jobs")
    return found
