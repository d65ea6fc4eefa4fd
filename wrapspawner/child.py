"""The spawner that a wrapper starts, as far as wrappers know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, overload

from jupyterhub.utils import maybe_future

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping

    from traitlets import TraitType

T = TypeVar("T")

Traits = dict[str, object]
State = dict[str, object]
Event = dict[str, object]


class Group(Protocol):
    """A group of JupyterHub."""

    @property
    def name(self) -> str: ...


class HubUser(Protocol):
    """A user of JupyterHub."""

    @property
    def name(self) -> str: ...

    @property
    def groups(self) -> Iterable[Group]: ...


class Child(Protocol):
    """A spawner of any class, with the attributes and methods of JupyterHub's `Spawner`."""

    name: str
    api_token: str
    default_url: str
    options_form: object
    user_options: dict[str, object]

    def __init__(self, **traits: object) -> None: ...

    def start(self) -> object: ...

    def stop(self, now: bool = False) -> Awaitable[None]: ...

    def poll(self) -> Awaitable[int | None]: ...

    def progress(self) -> AsyncGenerator[Event, None]: ...

    def get_url(self) -> Awaitable[str]: ...

    def move_certs(self, paths: object) -> Awaitable[object]: ...

    def get_options_form(self) -> Awaitable[object]: ...

    def run_options_from_form(
        self, form: Mapping[str, object]
    ) -> Awaitable[Mapping[str, object]]: ...

    def load_state(self, state: State) -> None: ...

    def get_state(self) -> State: ...

    def clear_state(self) -> None: ...

    def has_trait(self, name: str) -> bool: ...

    def traits(self) -> Mapping[str, TraitType[object, object]]: ...

    @classmethod
    def class_traits(cls) -> Mapping[str, object]: ...

    @classmethod
    def class_trait_names(cls) -> list[str]: ...


class JobChild(Child, Protocol):
    """A spawner whose server runs in a job: what a profile's environment changes of it."""

    req_prologue: str
    batchspawner_singleuser_cmd: str


@overload
async def resolve(value: Awaitable[T]) -> T: ...
@overload
async def resolve(value: T) -> T: ...
async def resolve(value: object) -> object:
    """Return what a method or a function of a site returned, awaited if necessary."""
    resolved: object = await maybe_future(value)
    return resolved
