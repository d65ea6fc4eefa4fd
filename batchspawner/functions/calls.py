"""Values that describe what is distributed: a call, its options and its dependencies."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .futures import JobFuture
    from .protocol import payload

METHODS = ("after", "afterany", "afternotok", "afterok", "singleton")
"""Conditions of a dependency, in Slurm's words: https://slurm.schedmd.com/sbatch.html."""


@dataclass(frozen=True)
class Dependency:
    """Condition on other jobs: one of METHODS, and the futures or ids of the jobs."""

    method: str
    jobs: tuple[JobFuture | int | str, ...] = ()


@dataclass(frozen=True)
class DispatchOptions:
    """Resources and dependencies of a job."""

    resources: Mapping[str, object] = field(default_factory=dict)
    after: tuple[Dependency, ...] = ()

    @property
    def key(self) -> object:
        """Key that is equal for calls that can share a job."""
        return repr(sorted(self.resources.items())), self.after


class DistributableFunction(Protocol):
    """Function with options of its own, as `slurmify` returns it."""

    __qualname__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in this process."""

    def make_options(self) -> DispatchOptions:
        """Return what a job of this function asks for."""


@dataclass(frozen=True)
class FunctionCall:
    """Function with arguments, to be distributed."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        """Qualified name of the function."""
        return self.function.__qualname__

    @property
    def func_id(self) -> str:
        return str(getattr(self.function, "func_id", self.name))

    @functools.cached_property
    def packed(self) -> payload.PackedCall:
        """The call in the form in which it is sent. Raises CannotTravel."""
        from .protocol.payload import make_call

        return make_call(self.function, self.args, self.kwargs)

    def __str__(self) -> str:
        named = [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join([*map(repr, self.args), *named])})"
