"""Offer one profile to one user: its form, and the check of what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from tornado import web

from batchspawner.errors import OptionsError
from batchspawner.spawners.options.schema import NOT_OPTIONS, OptionsRefused, Schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyterhub.spawner import Spawner

    from .profile import Profile

SEPARATOR = "--"
"""What stands in a form between the key of a profile and the name of its option."""


class OfferedProfile:
    """Join a profile with the spawner that it would start, which may have options of its own."""

    def __init__(self, wrapper: Any, profile: Profile) -> None:
        self.wrapper = wrapper
        self.profile = profile
        self.slug = profile.slug
        self.prefix = f"{profile.slug}{SEPARATOR}"
        self.child: Spawner = wrapper.make_child(profile.spawner, profile.traits({}))
        self.schema = Schema(profile.fields)
        self.offer: Any = None

    async def prepare(self) -> OfferedProfile:
        """Learn which options the spawner itself has."""
        if getattr(self.child, "has_own_form", False):
            own = await self.child.option_schema()
            taken = {field.name for field in self.profile.fields}
            pinned = {name[len("req_") :] for name in self.profile.override}
            added = [one for one in own.fields if one.name not in taken | pinned]
            self.schema = Schema((*self.profile.fields, *added))
            self.offer = await self.child.offer()
        return self

    @property
    def brings_a_form(self) -> bool:
        """Whether the spawner has a form that nobody here can check."""
        return bool(self.child.options_form) and not getattr(self.child, "has_own_form", False)

    async def html(self) -> str:
        """Return the spawner's own form, as it is."""
        return str(await self.child.get_options_form()) if self.brings_a_form else ""

    def given(self, form: Mapping[str, Any], others: Sequence[str] = ()) -> dict[str, Any]:
        """Return the options of this profile in a form, where its key goes before their names.

        In an address they may stand alone; those of other profiles are left out.
        """
        alone = {
            name: value
            for name, value in form.items()
            if name != "profile" and not name.startswith((self.prefix, *others))
        }
        return {**self.schema.from_form(alone), **self.schema.from_form(form, self.prefix)}

    async def read(self, form: Mapping[str, Any], others: Sequence[str] = ()) -> dict[str, Any]:
        """Return the checked options in a form or an address. Raises OptionsRefused."""
        if not self.brings_a_form:
            return self.check(self.given(form, others))
        ours = {
            field.name: form[self.prefix + field.name]
            for field in self.schema.fields
            if self.prefix + field.name in form
        }
        nested = {
            name: value
            for name, value in form.items()
            if name not in {"profile", *NOT_OPTIONS} and not name.startswith((self.prefix, *others))
        }
        options = await maybe_future(self.child.run_options_from_form(nested))
        return {**options, **self.check(self.schema.from_form(ours))}

    def check(self, given: object) -> dict[str, Any]:
        """Return the values that a choice comes to. Raises OptionsRefused."""
        try:
            return self.schema.check(given)
        except OptionsError as error:
            raise OptionsRefused(error) from error

    async def choose(self, given: Mapping[str, Any]) -> tuple[Spawner, dict[str, Any]]:
        """Return the spawner for a choice, and the checked values of the profile's own options."""
        names = {field.name for field in self.schema.fields}
        is_open = self.brings_a_form or self.wrapper.takes_anything
        mine = {name: one for name, one in given.items() if name in names} if is_open else given
        values = self.check(mine)
        child = self.child
        if self.profile.effects:
            child = self.wrapper.make_child(self.profile.spawner, self.profile.traits(values))
        if is_open:
            others = {name: one for name, one in given.items() if name not in names}
            self._open(child, values)
            await self._hand_over(child, {**others, **values})
        else:
            self._apply(child, values)
        return child, values

    def _open(self, child: Any, values: Mapping[str, Any]) -> None:
        """Let the spawner know what has been asked for and checked around it."""
        if hasattr(child, "open_options"):
            child.is_asked_elsewhere = self.wrapper.takes_anything
            child.open_options = [*child.open_options, *values]

    async def _hand_over(self, child: Any, options: dict[str, Any]) -> None:
        """Let the spawner take its options as it would without a wrapper."""
        child.user_options = {"profile": self.slug, **options}
        if getattr(child, "apply_user_options", None):
            await maybe_future(child._run_apply_user_options(child.user_options))

    def _apply(self, child: Any, values: Mapping[str, Any]) -> None:
        effects = self.profile.effects
        plain = {name: one for name, one in values.items() if name not in effects}
        if hasattr(child, "script_variables"):
            child.chosen = {"profile": self.slug, **plain}
            return
        for name, value in plain.items():
            trait = child.traits()[name]
            setattr(child, name, trait.from_string(value) if isinstance(value, str) else value)


async def offered_profiles(wrapper: Any) -> list[OfferedProfile]:
    """Return the profiles that are open to the wrapper's user, the default one first.

    Raises HTTPError 403 where there is none.
    """
    known = await wrapper.known_profiles()
    open_to = [profile for profile in known if await profile.is_open_to(wrapper)]
    if not open_to:
        raise web.HTTPError(
            403, f"No profile is open to {wrapper.user.name}; the administrator can add one."
        )
    open_to.sort(key=lambda profile: not profile.default)
    made = [OfferedProfile(wrapper, profile) for profile in open_to]
    return list(await asyncio.gather(*(one.prepare() for one in made)))
