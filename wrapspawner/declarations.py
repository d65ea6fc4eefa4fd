"""Profiles as a configuration declares them: dictionaries and tuples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, cast

from jupyterhub.spawner import Spawner
from jupyterhub.traitlets import EntryPointType
from traitlets import import_item

from batchspawner.spawners.options.base import NAME
from batchspawner.spawners.options.declarations import field_of
from batchspawner.spawners.options.field_kinds import Choice, Limit, Option, Text
from batchspawner.spawners.traits.options import ChoiceTraits

from .environment import ServerEnvironment, check_environment
from .profile import UNLISTED, Effect, Profile

if TYPE_CHECKING:
    from .child import Child
    from .profile import Allowed


class LimitDeclaration(TypedDict, total=False):
    """How a choice narrows another field."""

    min: str | int
    max: str | int
    values: tuple[str, ...]


class ChoiceDeclaration(TypedDict, total=False):
    """One of the `choices` of a profile's option."""

    display_name: str
    help: str
    default: bool
    override: dict[str, object]
    environment: ServerEnvironment
    limits: dict[str, LimitDeclaration]


class UnlistedDeclaration(TypedDict, total=False):
    """The `unlisted_choice` of a profile's option: users may write what is not in the list."""

    enabled: bool
    display_name: str
    validation_regex: str
    validation_message: str
    override: dict[str, object]
    environment: ServerEnvironment


class OptionDeclaration(TypedDict, total=False):
    """One of the `profile_options` of a profile."""

    display_name: str
    help: str
    choices: dict[str, ChoiceDeclaration]
    unlisted_choice: UnlistedDeclaration


class ProfileDeclaration(TypedDict, total=False):
    """A profile as a dictionary."""

    display_name: str
    slug: str
    description: str
    default: bool
    spawner: str | type[Child]
    override: dict[str, object]
    options: list[object]
    profile_options: dict[str, OptionDeclaration]
    environment: ServerEnvironment
    groups: list[str]
    users: list[str]
    allowed: Allowed


_SLUG = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


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
    return _from_dictionary(cast("ProfileDeclaration", declaration))


def _from_dictionary(given: ProfileDeclaration) -> Profile:
    name = given.get("display_name") or given.get("slug")
    if not isinstance(name, str):
        raise ValueError(f"a profile needs a display_name: {given!r}")
    where = f"the profile {name!r}"
    _check_keys(where, given, ProfileDeclaration)
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
        environment=given.get("environment", ServerEnvironment()),
        groups=_names(where, "groups", given.get("groups")),
        users=_names(where, "users", given.get("users")),
        allowed=_callable(where, given.get("allowed")),
    )
    _check_effects(where, profile)
    return profile


def _choice_of(
    where: str, name: str, given: OptionDeclaration
) -> tuple[Choice, Mapping[str, Effect]]:
    """Return the field of one of the `profile_options`, and what its values do."""
    where = f"{where}, option {name!r}"
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: use small letters, digits and _ in its name")
    _check_keys(where, given, OptionDeclaration)
    options: list[Option] = []
    effects: dict[str, Effect] = {}
    default = ""
    for value, choice in given.get("choices", {}).items():
        _check_keys(f"{where}, choice {value!r}", choice, ChoiceDeclaration)
        limits = {one: Limit(**limit) for one, limit in choice.get("limits", {}).items()}
        options.append(
            Option(value, choice.get("display_name", value), choice.get("help", ""), limits)
        )
        effects[value] = _effect(choice)
        default = value if choice.get("default") else default
    field = Choice(
        name,
        given.get("display_name", ""),
        given.get("help", ""),
        choices=tuple(options),
        default=default or (options[0].value if options else ""),
    )
    unlisted = given.get("unlisted_choice") or UnlistedDeclaration()
    _check_keys(f"{where}, unlisted_choice", unlisted, UnlistedDeclaration)
    if not unlisted.get("enabled"):
        return field, effects
    effects[UNLISTED] = _effect(unlisted)
    return replace(field, other=_unlisted(name, unlisted)), effects


def _effect(given: ChoiceDeclaration | UnlistedDeclaration) -> Effect:
    return Effect(given.get("override", {}), given.get("environment", ServerEnvironment()))


def _unlisted(name: str, given: UnlistedDeclaration) -> Text:
    label = given.get("display_name", "Other")
    text = Text(name, label)
    if "validation_regex" in given:
        pattern = given["validation_regex"]
        text = replace(text, pattern=pattern, pattern_help=f"it must match {pattern}")
    message = given.get("validation_message")
    return replace(text, pattern_help=message) if message else text


def _check_keys(where: str, given: object, declaration: type) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a dictionary, not {given!r}")
    known = declaration.__annotations__.keys()
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
        check_environment(where, effect.environment, profile.spawner)
    cls: type = profile.spawner
    if issubclass(cls, ChoiceTraits):
        return
    for one in profile.fields:
        if one.name not in {*profile.effects, *profile.spawner.class_trait_names()}:
            raise ValueError(f"{where}: {profile.spawner.__name__} has no trait {one.name!r}")


def _spawner_class(given: object, name: str) -> type[Child]:
    cls: object = _named_class(given, name) if isinstance(given, str) else given
    if not (inspect.isclass(cls) and issubclass(cls, Spawner)):
        raise ValueError(f"the profile {name!r}: {given!r} is no spawner class")
    return cast("type[Child]", cls)


def _names(where: str, key: str, names: list[str] | None) -> frozenset[str] | None:
    if isinstance(names, str):
        raise ValueError(f"{where}: {key} must be a list of names")
    return None if names is None else frozenset(names)


def _callable(where: str, given: object) -> Allowed | None:
    if given is not None and not callable(given):
        raise ValueError(f"{where}: `allowed` must be a function of the spawner")
    return given


def _named_class(given: str, name: str) -> object:
    """Return the class with an import path, or with a short name such as ``slurm``."""
    try:
        if "." in given:
            return cast("object", import_item(given))
        # The traits of JupyterHub that take a class know these names, too.
        known = EntryPointType(entry_point_group="jupyterhub.spawners").load_entry_points()
        if given.lower() in known:
            return cast("object", known[given.lower()].load())
    except Exception as error:
        raise ValueError(f"the profile {name!r}: {given!r} cannot be imported: {error}") from error
    raise ValueError(
        f"the profile {name!r}: there is no spawner {given!r}; write an import path, or one of "
        f"{', '.join(sorted(known))}"
    )
