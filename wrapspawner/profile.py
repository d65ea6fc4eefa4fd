"""Describe one profile, from a tuple or a dictionary of the configuration."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from traitlets import import_item

from batchspawner.spawners.options.declarations import field_of
from batchspawner.spawners.options.field import NAME
from batchspawner.spawners.options.fields import Choice, Field, Limit, Option, Text

from .environment import check_surroundings

_SLUG = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEYS = frozenset(
    [
        "display_name",
        "slug",
        "description",
        "default",
        "spawner",
        "override",
        "options",
        "profile_options",
        "environment",
        "groups",
        "users",
        "allowed",
    ]
)
_OPTION_KEYS = frozenset(["display_name", "help", "choices", "unlisted_choice"])
_CHOICE_KEYS = frozenset(["display_name", "help", "default", "override", "environment", "limits"])
_UNLISTED_KEYS = frozenset(
    ["enabled", "display_name", "validation_regex", "validation_message", "override", "environment"]
)


@dataclass(frozen=True)
class Effect:
    """Say what a choice changes: traits of the spawner, and surroundings of the server."""

    override: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def of(self, value: str) -> Effect:
        """Return this effect with a user's own text where the configuration says {value}."""
        return Effect(_filled(self.override, value), _filled(self.environment, value))


@dataclass(frozen=True)
class Profile:
    """Hold one profile. `effects` are those of its choices: by field, then by value."""

    slug: str
    display_name: str
    spawner: type[Spawner]
    override: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    default: bool = False
    fields: tuple[Field, ...] = ()
    effects: Mapping[str, Mapping[str, Effect]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    groups: frozenset[str] | None = None
    users: frozenset[str] | None = None
    allowed: Any = None
    is_plain: bool = False

    async def is_open_to(self, spawner: Spawner) -> bool:
        """Tell whether the user of a spawner may see and use this profile."""
        if self.groups is not None or self.users is not None:
            user = spawner.user
            groups = {group.name for group in getattr(user, "groups", ())}
            named = user.name in (self.users or ()) or bool(groups & (self.groups or frozenset()))
            if not named:
                return False
        return True if self.allowed is None else bool(await maybe_future(self.allowed(spawner)))

    def traits(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the traits that this profile sets, those of the choices included."""
        merged = dict(self.override)
        for effect in self._chosen_effects(values):
            merged.update(effect.override)
        return copy.deepcopy(merged)

    def surroundings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return modules, environment, image and landing page for these choices."""
        merged = dict(self.environment)
        for effect in self._chosen_effects(values):
            merged.update(effect.environment)
        return merged

    def _chosen_effects(self, values: Mapping[str, Any]) -> list[Effect]:
        found = []
        for name, effects in self.effects.items():
            value = values.get(name, "")
            if value in effects:
                found.append(effects[value])
            elif value and _UNLISTED in effects:
                found.append(effects[_UNLISTED].of(value))
        return found


_UNLISTED = ""
"""The value under which the effect of a user's own text is kept."""


def profile_of(declaration: object) -> Profile:
    """Return the profile that a configuration declares. Raises ValueError for a wrong one."""
    if isinstance(declaration, (tuple, list)):
        if len(declaration) != 4:
            raise ValueError(
                f"a profile as a tuple is (name, key, spawner class, traits), not {declaration!r}"
            )
        name, key, spawner, traits = declaration
        return Profile(key, name, _spawner_class(spawner, key), traits, is_plain=True)
    if not isinstance(declaration, Mapping):
        raise ValueError(f"a profile is a dictionary or a tuple, not {declaration!r}")
    return _from_dictionary(declaration)


def _from_dictionary(given: Mapping[str, Any]) -> Profile:
    name = given.get("display_name") or given.get("slug")
    if not isinstance(name, str):
        raise ValueError(f"a profile needs a display_name: {given!r}")
    where = f"the profile {name!r}"
    _check_keys(where, given, _KEYS)
    slug = given.get("slug") or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not _SLUG.fullmatch(slug):
        raise ValueError(
            f"{where}: the slug {slug!r} is not of letters, digits and _ . - (but no --)"
        )
    if "spawner" not in given:
        raise ValueError(f"{where} names no spawner, such as 'batchspawner.SlurmSpawner'")
    choices = dict(given.get("profile_options", {}))
    made = [_choice_of(where, option, choice) for option, choice in choices.items()]
    profile = Profile(
        slug=slug,
        display_name=name,
        spawner=_spawner_class(given["spawner"], name),
        override=given.get("override", {}),
        description=given.get("description", ""),
        default=bool(given.get("default")),
        fields=(*(one for one, _ in made), *map(field_of, given.get("options", ()))),
        effects={one.name: effects for one, effects in made},
        environment=given.get("environment", {}),
        groups=_names(where, given, "groups"),
        users=_names(where, given, "users"),
        allowed=_callable(where, given.get("allowed")),
    )
    _check_effects(where, profile)
    return profile


def _choice_of(
    where: str, name: str, given: Mapping[str, Any]
) -> tuple[Choice, Mapping[str, Effect]]:
    """Return the field of one of the `profile_options`, and what its values do."""
    where = f"{where}, option {name!r}"
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: use small letters, digits and _ in its name")
    _check_keys(where, given, _OPTION_KEYS)
    options, effects, default = [], {}, ""
    for value, choice in given.get("choices", {}).items():
        _check_keys(f"{where}, choice {value!r}", choice, _CHOICE_KEYS)
        limits = {one: Limit(**limit) for one, limit in choice.get("limits", {}).items()}
        options.append(
            Option(value, choice.get("display_name", value), choice.get("help", ""), limits)
        )
        effects[value] = Effect(choice.get("override", {}), choice.get("environment", {}))
        default = value if choice.get("default") else default
    field = Choice(
        name,
        given.get("display_name", ""),
        given.get("help", ""),
        choices=tuple(options),
        default=default or (options[0].value if options else ""),
    )
    unlisted = given.get("unlisted_choice") or {}
    _check_keys(f"{where}, unlisted_choice", unlisted, _UNLISTED_KEYS)
    if not unlisted.get("enabled"):
        return field, effects
    effects[_UNLISTED] = Effect(unlisted.get("override", {}), unlisted.get("environment", {}))
    return replace(field, other=_unlisted(name, unlisted)), effects


def _unlisted(name: str, given: Mapping[str, Any]) -> Text:
    label = given.get("display_name", "Other")
    text = Text(name, label)
    if "validation_regex" in given:
        pattern = given["validation_regex"]
        text = replace(text, pattern=pattern, pattern_help=f"it must match {pattern}")
    message = given.get("validation_message")
    return replace(text, pattern_help=message) if message else text


def _check_keys(where: str, given: object, known: frozenset[str]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a dictionary, not {given!r}")
    wrong = sorted(str(key) for key in given.keys() - known)
    if wrong:
        raise ValueError(f"{where} has {wrong[0]!r}; known are {', '.join(sorted(known))}")


def _check_effects(where: str, profile: Profile) -> None:
    """Raise ValueError for traits that the spawner does not have."""
    listed = [effect for effects in profile.effects.values() for effect in effects.values()]
    for effect in (Effect(profile.override, profile.environment), *listed):
        for name in effect.override:
            if name not in profile.spawner.class_trait_names():
                raise ValueError(f"{where}: {profile.spawner.__name__} has no trait {name!r}")
        check_surroundings(where, effect.environment, profile.spawner)
    if hasattr(profile.spawner, "script_variables"):
        return
    for one in profile.fields:
        if one.name not in {*profile.effects, *profile.spawner.class_trait_names()}:
            raise ValueError(f"{where}: {profile.spawner.__name__} has no trait {one.name!r}")


def _spawner_class(given: object, name: str) -> type[Spawner]:
    cls = import_item(given) if isinstance(given, str) else given
    if not (inspect.isclass(cls) and issubclass(cls, Spawner)):
        raise ValueError(f"the profile {name!r}: {given!r} is no spawner class")
    return cls


def _names(where: str, given: Mapping[str, Any], key: str) -> frozenset[str] | None:
    names = given.get(key)
    if isinstance(names, str):
        raise ValueError(f"{where}: {key} must be a list of names")
    return None if names is None else frozenset(names)


def _callable(where: str, given: object) -> object:
    if given is not None and not callable(given):
        raise ValueError(f"{where}: `allowed` must be a function of the spawner")
    return given


def _filled(template: Any, value: str) -> Any:
    if isinstance(template, str):
        return template.replace("{value}", value)
    if isinstance(template, Mapping):
        return {key: _filled(inner, value) for key, inner in template.items()}
    if isinstance(template, (list, tuple)):
        return type(template)(_filled(inner, value) for inner in template)
    return template
