"""One profile: who may use it, what they can choose in it, and what their choices change."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union, cast

from .child import Child, HubUser, resolve
from .environment import ServerEnvironment

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from batchspawner.spawners.options.field_kinds import Field

    Allowed = Callable[[object], Union[bool, Awaitable[bool]]]

UNLISTED = ""
"""The value under which the effect of a user's own text is stored."""


@dataclass(frozen=True)
class Effect:
    """What a choice changes: traits of the spawner, and the environment of the server."""

    override: Mapping[str, object] = field(default_factory=dict)
    environment: ServerEnvironment = field(default_factory=ServerEnvironment)

    def of(self, value: str) -> Effect:
        """Return this effect with a user's own text in place of {value}."""
        return Effect(
            cast("Mapping[str, object]", _filled(self.override, value)),
            cast("ServerEnvironment", _filled(self.environment, value)),
        )


@dataclass(frozen=True)
class Profile:
    """One profile. `effects` are those of its choices: by field, then by value."""

    slug: str
    display_name: str
    spawner: type[Child]
    override: Mapping[str, object] = field(default_factory=dict)
    description: str = ""
    default: bool = False
    fields: tuple[Field, ...] = ()
    effects: Mapping[str, Mapping[str, Effect]] = field(default_factory=dict)
    environment: ServerEnvironment = field(default_factory=ServerEnvironment)
    groups: frozenset[str] | None = None
    users: frozenset[str] | None = None
    allowed: Allowed | None = None
    is_plain: bool = False

    async def is_open_to(self, user: HubUser, spawner: object) -> bool:
        """Return whether a user may see and use this profile; `allowed` gets their spawner."""
        if self.groups is not None or self.users is not None:
            groups = {group.name for group in getattr(user, "groups", ())}
            named = user.name in (self.users or ()) or bool(groups & (self.groups or frozenset()))
            if not named:
                return False
        return True if self.allowed is None else bool(await resolve(self.allowed(spawner)))

    def traits(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return a copy of the traits that this profile sets, those of the choices included."""
        merged = dict(self.override)
        for effect in self._chosen_effects(values):
            merged.update(effect.override)
        return copy.deepcopy(merged)

    def all_overrides(self) -> dict[str, object]:
        """Return the traits that this profile sets, with those of any of its choices."""
        merged: dict[str, object] = {}
        for effects in self.effects.values():
            for effect in effects.values():
                merged.update(effect.override)
        return {**merged, **self.override}

    def queues(self) -> frozenset[str]:
        """Return the queues that this profile or its choices set; empty if users choose any."""
        if own := _queue_of(self.override):
            return frozenset(own.split(","))
        found: set[str] = set()
        for effects in self.effects.values():
            set_here = [_queue_of(one.override) for one in effects.values()]
            if all(set_here):
                found.update(",".join(set_here).split(","))
            elif any(set_here):
                # With some choices, the job goes to a queue that the profile does not name.
                return frozenset()
        return frozenset(found)

    def server_environment(self, values: Mapping[str, object]) -> ServerEnvironment:
        """Return modules, environment, image and landing page for these choices."""
        merged = ServerEnvironment(**self.environment)
        for effect in self._chosen_effects(values):
            merged.update(effect.environment)
        return merged

    def _chosen_effects(self, values: Mapping[str, object]) -> list[Effect]:
        found = []
        for name, effects in self.effects.items():
            value = str(values.get(name, ""))
            if value in effects:
                found.append(effects[value])
            elif value and UNLISTED in effects:
                found.append(effects[UNLISTED].of(value))
        return found


def _queue_of(traits: Mapping[str, object]) -> str:
    return str(traits.get("req_partition") or traits.get("req_queue") or "")


def _filled(template: object, value: str) -> object:
    if isinstance(template, str):
        return template.replace("{value}", value)
    if isinstance(template, Mapping):
        return {key: _filled(inner, value) for key, inner in template.items()}
    if isinstance(template, (list, tuple)):
        return type(template)(_filled(inner, value) for inner in template)
    return template
