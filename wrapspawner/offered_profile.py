"""A profile on offer to one user: its form, and the check of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from tornado import web

from batchspawner.errors import OptionsError
from batchspawner.spawners.options.queue_info import queue_table
from batchspawner.spawners.options.schema import NOT_OPTIONS, OptionsRefused, Schema
from batchspawner.spawners.options.site_form import from_same_source, single_text
from batchspawner.spawners.traits.options import ChoiceTraits

from .child import resolve
from .declared_profiles import no_profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from batchspawner.spawners.options.base import Value
    from batchspawner.spawners.options.queue_info import QueueInfo
    from batchspawner.spawners.options.start_estimate import StartEstimate

    from .child import Child, HubUser
    from .profile import Profile

_MAX_QUOTED_LENGTH = 60

_QUEUE = frozenset({"partition", "queue"})
_GPUS = frozenset({"ngpus", "gres", "gpu_type", "shards"})
"""Options that a job script takes in the place of each other, or together."""

SEPARATOR = "--"
"""Separator between the key of a profile and the name of its option in a form."""


class Wrapper(Protocol):
    """What an offered profile uses of the spawner that offers it."""

    user: HubUser

    @property
    def accepts_any_option(self) -> bool: ...

    def make_child(self, child_class: type[Child], child_config: Mapping[str, object]) -> Child: ...

    async def known_profiles(self) -> list[Profile]: ...


class OfferedProfile:
    """A profile, and the spawner that it would start, which may have options of its own."""

    def __init__(self, wrapper: Wrapper, profile: Profile) -> None:
        self.wrapper = wrapper
        self.profile = profile
        self.slug = profile.slug
        self.prefix = f"{profile.slug}{SEPARATOR}"
        self.child = wrapper.make_child(profile.spawner, profile.traits({}))
        self.schema = Schema(profile.fields)
        self.queue_info: QueueInfo | None = None

    async def prepare(self) -> OfferedProfile:
        """Add the options of the spawner itself to those of the profile; return self."""
        spawner = batch_spawner(self.child)
        if spawner is not None:
            spawner.only_queues = self.profile.queues()
        own = await spawner.option_schema() if spawner is not None else None
        if spawner is not None and own is not None:
            taken = {field.name for field in self.profile.fields}
            pinned = pinned_options(self.profile.all_overrides(), self.child)
            added = [one for one in own.fields if one.name not in {*taken, *pinned}]
            self.schema = Schema((*self.profile.fields, *added))
            self.queue_info = await spawner.queue_info()
        return self

    def queue_table(self) -> dict[str, object] | None:
        """Return what the form shows about the queues of this profile, None if nothing is known."""
        spawner = batch_spawner(self.child)
        if spawner is None or self.queue_info is None:
            return None
        return queue_table(self.queue_info, spawner.offered_queues(self.schema))

    @property
    def brings_a_form(self) -> bool:
        """Whether the spawner has a form that cannot be checked here."""
        spawner = batch_spawner(self.child)
        return bool(self.child.options_form) and not (spawner and spawner.has_own_form)

    async def html(self) -> str:
        """Return the spawner's own form, as it is."""
        return str(await resolve(self.child.get_options_form())) if self.brings_a_form else ""

    def given(self, form: Mapping[str, object], others: Sequence[str] = ()) -> dict[str, object]:
        """Return the options of this profile in a form, whose names have its key before them.

        In an address they may have no prefix; those of other profiles are left out.
        """
        alone = {
            name: value
            for name, value in form.items()
            if name != "profile" and not name.startswith((self.prefix, *others))
        }
        return {**self.schema.from_form(alone), **self.schema.from_form(form, self.prefix)}

    async def read(
        self, form: Mapping[str, object], others: Sequence[str] = ()
    ) -> dict[str, object]:
        """Return the checked options in a form or an address. Raises OptionsRefused."""
        if not self.brings_a_form:
            return {**self.check(self.given(form, others))}
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
        options = await resolve(self.child.run_options_from_form(nested))
        return from_same_source(options, {**options, **self.check(self.schema.from_form(ours))})

    async def start_estimate(
        self, form: Mapping[str, object], others: Sequence[str] = ()
    ) -> StartEstimate | None:
        """Return when a server of this profile would start; None if it cannot be estimated."""
        if self.brings_a_form:
            return None
        child, values = await self.choose(self.check(self.given(form, others)))
        spawner = batch_spawner(child)
        if spawner is None:
            return None
        plain = {name: one for name, one in values.items() if name not in self.profile.effects}
        own = [field for field in self.schema.fields if field.name not in self.profile.effects]
        return await spawner.estimate_start(Schema(tuple(own)), plain)

    def check(self, given: object) -> dict[str, Value]:
        """Return the values, defaults included, for a choice. Raises OptionsRefused."""
        try:
            return self.schema.check(given)
        except OptionsError as error:
            raise OptionsRefused(error) from error

    async def choose(self, given: Mapping[str, object]) -> tuple[Child, dict[str, Value]]:
        """Return the spawner for a choice, and the checked values of the profile's own options."""
        names = {field.name for field in self.schema.fields}
        is_open = self.brings_a_form or self.wrapper.accepts_any_option
        mine = {name: one for name, one in given.items() if name in names} if is_open else given
        values = self.check(mine)
        child = self.child
        if self.profile.effects:
            child = self.wrapper.make_child(self.profile.spawner, self.profile.traits(values))
            if (spawner := batch_spawner(child)) is not None:
                spawner.only_queues = self.profile.queues()
        if is_open:
            others = {name: one for name, one in given.items() if name not in names}
            others = self._without_pinned(others, values)
            await self._pass_on(child, values, from_same_source(given, {**others, **values}))
        else:
            self._apply(child, values)
        return child, values

    def _without_pinned(
        self, options: Mapping[str, object], values: Mapping[str, Value]
    ) -> dict[str, object]:
        """Return the options without those that the profile sets.

        Raises OptionsRefused for one that would change it.
        """
        pinned = pinned_options(self.profile.traits(values), self.child)
        free = {}
        for name, given in options.items():
            text = single_text(given)
            if name not in pinned:
                free[name] = given
            # A form of the site asks in every profile.
            elif given is not None and text != "" and (text is None or text != pinned[name]):
                shown = type(given).__name__ if text is None else text[:_MAX_QUOTED_LENGTH]
                allowed = f"the profile {self.slug} sets it"
                raise OptionsRefused(OptionsError(name, shown, allowed))
        return free

    async def _pass_on(
        self, child: Child, checked: Mapping[str, Value], options: Mapping[str, object]
    ) -> None:
        """Make the spawner take its options as it would without a wrapper.

        `checked` are those that the profile has checked, and thereby opened.
        """
        spawner = batch_spawner(child)
        if spawner is not None:
            spawner.is_asked_elsewhere = self.wrapper.accepts_any_option
            spawner.open_options = [*spawner.open_options, *checked]
        child.user_options = from_same_source(options, {"profile": self.slug, **options})
        # JupyterHub >= 5.3; with an older one, only our spawners take options.
        if getattr(child, "apply_user_options", None):
            take: Callable[[object], Awaitable[None]] = getattr(child, "_run_apply_user_options")  # noqa: B009
            await resolve(take(child.user_options))
        elif spawner is not None:
            await spawner.take_options(child.user_options)

    def _apply(self, child: Child, values: Mapping[str, Value]) -> None:
        effects = self.profile.effects
        plain = {name: one for name, one in values.items() if name not in effects}
        spawner = batch_spawner(child)
        if spawner is not None:
            spawner.set_chosen({"profile": self.slug, **plain})
            return
        for name, value in plain.items():
            trait = child.traits()[name]
            setattr(child, name, trait.from_string(value) if isinstance(value, str) else value)


def pinned_options(traits: Mapping[str, object], child: Child) -> dict[str, str | None]:
    """Return the options that would change these traits, each with the value that it has.

    The value is None if no value of the option is the same.
    """
    if batch_spawner(child) is None:
        named = {name: str(value) for name, value in traits.items()}
    else:
        named = {
            name[len("req_") :]: str(value)
            for name, value in traits.items()
            if name.startswith("req_")
        }
    pinned: dict[str, str | None] = {}
    for name, value in named.items():
        if name in _QUEUE:
            pinned.update(dict.fromkeys(_QUEUE, value))
        elif name in _GPUS:
            pinned.update(dict.fromkeys(_GPUS))
    pinned.update(named)
    # JupyterHub >= 5.3 can set traits by a table of the configuration.
    table = getattr(child, "apply_user_options", None)
    if isinstance(table, Mapping):
        pinned.update({one: str(traits[trait]) for one, trait in table.items() if trait in traits})
    return pinned


def batch_spawner(child: object) -> ChoiceTraits | None:
    """Return a child that is one of our spawners, else None."""
    return child if isinstance(child, ChoiceTraits) else None


async def offered_profiles(wrapper: Wrapper) -> list[OfferedProfile]:
    """Return the profiles that are open to the wrapper's user, the default one first.

    Raises HTTPError 403 if there is none.
    """
    known = await wrapper.known_profiles()
    open_to = [profile for profile in known if await profile.is_open_to(wrapper.user, wrapper)]
    if not open_to:
        raise web.HTTPError(
            403, f"No profile is open to {wrapper.user.name}; the administrator can add one."
        )
    open_to.sort(key=lambda profile: not profile.default)
    made = [OfferedProfile(wrapper, profile) for profile in open_to]
    return list(await asyncio.gather(*(one.prepare() for one in made)))


def checked_options(
    offered: Sequence[OfferedProfile], options: dict[str, object]
) -> dict[str, object]:
    """Return checked options of one of the profiles on offer. Raises OptionsRefused."""
    key = options.pop("profile", offered[0].slug)
    for one in offered:
        if one.slug == key and not one.brings_a_form:
            return {"profile": key, **one.check(options)}
    raise no_profile(key, [one.slug for one in offered])
