"""Wrap one spawner, whose class is known only when a server starts, in another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyterhub.spawner import LocalProcessSpawner, Spawner
from jupyterhub.utils import maybe_future
from traitlets import All, Dict, Instance, Type, observe
from traitlets import Any as AnyTrait

if sys.version_info >= (3, 10):
    from contextlib import aclosing
else:
    from async_generator import aclosing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

_OWN = frozenset(
    {"child_class", "child_config", "child_state", "child_spawner", "config", "parent", "log"}
)
"""Traits of the wrapper that never go to the child."""


class WrapSpawner(Spawner):
    """Start a user's server with a child spawner of the class `child_class`.

    The child gets what JupyterHub gives to a spawner, its own class's configuration, what the
    configuration sets on the wrapper itself, and at last `child_config`, which rules over all.
    """

    child_class = Type(
        LocalProcessSpawner, klass=Spawner, help="Class of the spawner that is wrapped."
    ).tag(config=True)
    child_config = Dict(help="Traits of the child; they rule over all other configuration.").tag(
        config=True
    )
    child_state = Dict(help="What the child last said it must know after a restart.")
    child_spawner = Instance(Spawner, allow_none=True)
    config = AnyTrait(help="The configuration, for the child too.")

    def __init__(self, **kwargs: Any) -> None:
        self._given = set(kwargs)
        super().__init__(**kwargs)
        self._configured_config = dict(self.child_config)
        # From now on, what JupyterHub sets on the wrapper is meant for the server.
        self._wrapping = True

    _wrapping = False

    @observe(All)
    def _forward(self, change: Any) -> None:
        """Pass on to the child what is set on the wrapper while it lives."""
        if not self._wrapping or change.name in _OWN:
            return
        self._given.add(change.name)
        child = self.child_spawner
        if child is not None and self._goes_to(child, change.name):
            setattr(child, change.name, change.new)

    def _goes_to(self, child: Spawner | type[Spawner], name: str) -> bool:
        return name not in _OWN and name not in self.child_config and child.has_trait(name)

    def load_child_class(self, state: dict[str, Any]) -> None:
        """Set `child_class` and `child_config` for a saved state; subclasses override it."""

    def construct_child(self) -> Spawner:
        """Make the child if there is none, with its saved state, and return it."""
        if self.child_spawner is None:
            self.adopt_child(self.make_child(self.child_class, self.child_config))
        child: Spawner = self.child_spawner
        return child

    def make_child(self, child_class: type[Spawner], child_config: Mapping[str, Any]) -> Spawner:
        """Return a new spawner of this class, which is not ours yet."""
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

    def adopt_child(self, child: Spawner) -> None:
        """Make a spawner the one that starts the server."""
        child.load_state(dict(self.child_state))
        self.child_spawner = child
        self._take_over_times(child)

    def _set_on_wrapper(self, child_class: type[Spawner]) -> set[str]:
        """Return what the configuration sets on the wrapper's classes and not on the child's."""
        sections = [cls.__name__ for cls in type(self).__mro__ if cls not in child_class.__mro__]
        return {name for section in sections for name in self.config.get(section, {})}

    def _take_over_times(self, child: Spawner) -> None:
        # JupyterHub reads them from the spawner that it knows.
        for name in ("start_timeout", "http_timeout", "poll_interval"):
            setattr(self, name, getattr(child, name))

    def start(self) -> Awaitable[Any]:
        """Start the child; JupyterHub reads `start_timeout` as soon as this has returned."""
        return maybe_future(self.construct_child().start())

    async def stop(self, now: bool = False) -> None:
        """Stop the child, if there is one."""
        if self.child_spawner is not None:
            await maybe_future(self.child_spawner.stop(now))

    async def poll(self) -> int | None:
        """Ask the child; without one there is no server."""
        if self.child_spawner is None:
            return 1
        status: int | None = await maybe_future(self.child_spawner.poll())
        return status

    async def progress(self) -> AsyncIterator[Any]:
        """Yield what the child says of its start."""
        async with aclosing(self.construct_child().progress()) as events:
            async for event in events:
                yield event

    async def get_url(self) -> str:
        """Return the child's word on where its server is."""
        url = await maybe_future(self.construct_child().get_url())
        return str(url)

    async def move_certs(self, paths: Any) -> Any:
        """Let the child put the certificates where its server finds them."""
        return await maybe_future(self.construct_child().move_certs(paths))

    async def rename(self, old_name: str, new_name: str) -> None:
        """Tell the child that its user has another name now."""
        if self.child_spawner is not None and hasattr(self.child_spawner, "rename"):
            await maybe_future(self.child_spawner.rename(old_name, new_name))

    def load_state(self, state: dict[str, Any]) -> None:
        """Make the child of a running server anew, as it was when the server was started."""
        super().load_state(state)
        if not state.get("child_state") and not state.get("child_conf"):
            return
        self.load_child_class(state)
        self.child_config = dict(state.get("child_conf") or self.child_config)
        self.child_state = dict(state.get("child_state") or {})
        self.child_spawner = None
        self.construct_child()

    def get_state(self) -> dict[str, Any]:
        """Return what it takes to make the child anew."""
        state = {**super().get_state(), "child_conf": self.child_config}
        if self.child_spawner is not None:
            self.child_state = self.child_spawner.get_state()
        return {**state, "child_state": self.child_state} if self.child_spawner else {}

    def clear_state(self) -> None:
        """Let go of the child; the next start makes another from today's configuration."""
        super().clear_state()
        if self.child_spawner is not None:
            self.child_spawner.clear_state()
        self.child_spawner, self.child_state = None, {}
        self.child_config = dict(self._configured_config)
