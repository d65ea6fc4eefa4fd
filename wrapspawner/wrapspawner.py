"""A spawner around another one, whose class is known only when a server starts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, cast

from jupyterhub.spawner import LocalProcessSpawner, Spawner
from jupyterhub.utils import maybe_future
from traitlets import All, Dict, Instance, Type, observe
from traitlets import Any as AnyTrait

if sys.version_info >= (3, 10):
    from contextlib import aclosing
else:
    from async_generator import aclosing

from batchspawner.spawners.progress.past_ends import end_to_state

from .child import Child, Event, State, resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from batchspawner.spawners.backends.start_clock import StartLimits

_OWN = frozenset(
    {"child_class", "child_config", "child_state", "child_spawner", "config", "parent", "log"}
)
"""Traits of the wrapper that never go to the child."""

_TIMEOUTS = ("start_timeout", "http_timeout", "poll_interval")
"""Traits that JupyterHub reads from the wrapper and that are those of the child."""


class Change(Protocol):
    """What traitlets gives to an observer."""

    @property
    def name(self) -> str: ...

    @property
    def new(self) -> object: ...


class WrapSpawner(Spawner):
    """A spawner that leaves everything to a child spawner of the class `child_class`.

    The child gets what JupyterHub gives to a spawner, its own class's configuration, what the
    configuration sets on the wrapper itself, and at last `child_config`, which rules over all.
    """

    child_class: Type[type[Child], object] = Type(
        LocalProcessSpawner, klass=Spawner, help="Class of the spawner that is wrapped."
    ).tag(config=True)
    child_config: Dict[str, object] = Dict(
        help="Traits of the child; they rule over all other configuration."
    ).tag(config=True)
    child_state: Dict[str, object] = Dict(help="The last saved state of the child.")
    child_spawner: Instance[Child | None] = Instance(Spawner, allow_none=True)
    config = AnyTrait(help="The configuration, for the child too.")

    def __init__(self, **kwargs: object) -> None:
        self._given = set(kwargs)
        super().__init__(**kwargs)
        self._configured_config = dict(self.child_config)
        # From now on, what JupyterHub sets on the wrapper is meant for the server.
        self._wrapping = True

    _wrapping = False
    _own_timeouts: Mapping[str, object] | None = None

    @observe(All)
    def _forward(self, change: Change) -> None:
        """Set on the child, too, what is set on the wrapper."""
        if not self._wrapping or change.name in _OWN:
            return
        self._given.add(change.name)
        child = self.child_spawner
        if child is not None and self._goes_to(child, change.name):
            setattr(child, change.name, change.new)

    def _goes_to(self, child: Child, name: str) -> bool:
        return name not in _OWN and name not in self.child_config and child.has_trait(name)

    def load_child_class(self, state: Mapping[str, object]) -> None:
        """Set `child_class` and `child_config` for a saved state; subclasses override it."""

    def construct_child(self) -> Child:
        """Return the child; if there is none, make it with its saved state."""
        child = self.child_spawner
        if child is None:
            child = self.make_child(self.child_class, self.child_config)
            self.use_child(child)
        return child

    def make_child(self, child_class: type[Child], child_config: Mapping[str, object]) -> Child:
        """Return a new spawner of this class; `use_child` makes it the one that is started."""
        names = {*self._given, *self._set_on_wrapper(child_class)}
        traits = {
            name: getattr(self, name)
            for name in names - _OWN - child_config.keys()
            if name in child_class.class_traits()
        }
        child = child_class(config=self.config, **{**traits, **child_config})
        child.clear_state()
        child.api_token = self.api_token
        return child

    def use_child(self, child: Child) -> None:
        """Make a spawner the one that starts the server."""
        child.load_state(dict(self.child_state))
        self.child_spawner = child
        self._copy_timeouts(child)

    def _set_on_wrapper(self, child_class: type[Child]) -> set[str]:
        """Return what the configuration sets on the wrapper's classes and not on the child's."""
        sections = [cls.__name__ for cls in type(self).__mro__ if cls not in child_class.__mro__]
        return {name for section in sections for name in self.config.get(section, {})}

    def _copy_timeouts(self, child: Child) -> None:
        # JupyterHub reads them from the spawner that it knows.
        timeouts = {name: getattr(child, name) for name in _TIMEOUTS}
        limits: StartLimits | None = getattr(child, "start_limits", None)
        if limits is not None:
            timeouts["start_timeout"] = limits.hub_s
        if self._own_timeouts is None:
            self._own_timeouts = {name: getattr(self, name) for name in _TIMEOUTS}
        self._set_unforwarded(timeouts)

    def _set_unforwarded(self, traits: Mapping[str, object]) -> None:
        """Set traits of the wrapper that are not meant for its child."""
        self._wrapping = False
        for name, value in traits.items():
            setattr(self, name, value)
        self._wrapping = True

    def start(self) -> Awaitable[object]:
        """Start the child; JupyterHub reads `start_timeout` as soon as this has returned."""
        child = self.construct_child()
        started: Awaitable[object] = maybe_future(child.start())
        # The hook before the start may have changed what it was.
        self._copy_timeouts(child)
        return started

    async def stop(self, now: bool = False) -> None:
        """Stop the child, if there is one."""
        if self.child_spawner is not None:
            await resolve(self.child_spawner.stop(now))

    async def poll(self) -> int | None:
        """Return the child's status; without a child there is no server."""
        return 1 if self.child_spawner is None else await resolve(self.child_spawner.poll())

    async def progress(self) -> AsyncIterator[Event]:
        """Yield the child's progress events."""
        async with aclosing(self.construct_child().progress()) as events:
            async for event in events:
                yield event

    async def get_url(self) -> str:
        """Return the URL of the child's server."""
        return str(await resolve(self.construct_child().get_url()))

    async def move_certs(self, paths: object) -> object:
        """Return where the child has put the certificates for its server."""
        return await resolve(self.construct_child().move_certs(paths))

    async def rename(self, old_name: str, new_name: str) -> None:
        """Rename the child's server, if its class can do that; JupyterHub >= 6 calls it."""
        child = self.child_spawner
        if child is not None and hasattr(child, "rename"):
            rename = cast("Callable[[str, str], Awaitable[None]]", child.rename)
            await resolve(rename(old_name, new_name))

    def load_state(self, state: State) -> None:
        """Construct the child of a running server as it was when the server was started."""
        super().load_state(state)
        if not state.get("child_state") and not state.get("child_conf"):
            return
        self.load_child_class(state)
        configured = cast("State | None", state.get("child_conf"))
        self.child_config = dict(configured or self.child_config)
        self.child_state = dict(cast("State | None", state.get("child_state")) or {})
        self.child_spawner = None
        self.construct_child()

    def get_state(self) -> State:
        """Return what is needed to construct the child again after a restart of the Hub."""
        state = {**super().get_state(), "child_conf": self.child_config}
        if self.child_spawner is not None:
            self.child_state = self.child_spawner.get_state()
        if self.child_spawner is None:
            return end_to_state(self)
        return {**state, "child_state": self.child_state}

    def clear_state(self) -> None:
        """Forget the child; the next start makes another from the current configuration."""
        super().clear_state()
        if self.child_spawner is not None:
            self.child_spawner.clear_state()
        self.child_spawner, self.child_state = None, {}
        self._set_unforwarded(self._own_timeouts or {})
        self._own_timeouts = None
        self.child_config = dict(self._configured_config)
