"""A spawner that offers several configured spawners to choose from."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Protocol
from typing import Union as TypeUnion

from traitlets import Callable, Dict, Instance, List, Unicode, Union, default, import_item, validate

from batchspawner.errors import OptionsError
from batchspawner.spawners.hub.jupyterhub import estimate_url_of, store_of
from batchspawner.spawners.hub.reader_language import FormReader
from batchspawner.spawners.options.presets import named_preset, preset_options, shown_presets
from batchspawner.spawners.options.schema import OptionsRefused, language_of
from batchspawner.spawners.options.site_form import from_same_source, marked
from batchspawner.templating import search_path
from batchspawner.translation import translated_by

from .child import resolve
from .declared_profiles import distinct, find_profile, no_profile
from .environment import apply_environment
from .offered_profile import OfferedProfile, checked_options, offered_profiles
from .select_form import FORM, OPTION, render_list, render_profiles
from .start_check import check_when_the_hub_starts
from .wrapspawner import WrapSpawner

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence

    from tornado.web import RequestHandler

    from batchspawner.spawners.options.start_estimate import StartEstimate
    from batchspawner.translation import Catalogue

    from .child import Child, Event, HubUser
    from .profile import Profile

    Declared = TypeUnion[
        Sequence[object],
        abc.Callable[[object], TypeUnion[Sequence[object], Awaitable[Sequence[object]]]],
    ]
    FormData = Mapping[str, Sequence[str]]
    Options = dict[str, object]


class Proposal(Protocol):
    """What traitlets gives to a validator."""

    @property
    def value(self) -> Declared: ...


_POLL_INTERVAL_S = 0.1


class ProfilesSpawner(WrapSpawner):
    """A spawner that shows profiles in a form, and starts the server by the chosen one."""

    profiles = Union(
        [List(minlen=1), Callable()],
        help="The profiles, each a dictionary, or a tuple (name to show, key, spawner class, its "
        "configuration); or a function of the spawner, which may be async, that returns them.",
    ).tag(config=True)
    child_profile = Unicode()
    form_template = Unicode(
        FORM, help="HTML of the form of tuples; {input_template} stands for the options."
    ).tag(config=True)
    first_template = Unicode("selected", help="What {first} is in the first option.").tag(
        config=True
    )
    input_template = Unicode(
        OPTION, help="HTML of one option, with {display}, {key}, {type} and {first}."
    ).tag(config=True)
    template_paths = List(
        Unicode(), help="Folders with the site's own templates, such as forms/profiles.html."
    ).tag(config=True)

    language = Unicode(
        help="Language of the form, such as 'de'; by default c.BatchSpawnerBase.language, or that "
        "which each browser asks for."
    ).tag(config=True)

    presets: dict[str, dict[str, object]] = Dict(
        help="Named choices that the form offers to all users: "
        '{"Small": {"profile": "cluster", "nprocs": 2}}. Those that a user may not make are left '
        "out."
    ).tag(config=True)  # type: ignore[assignment]

    _refused: Options | None = None
    _reader = Instance(FormReader, ())

    # What JupyterHub's class has.
    user: HubUser
    user_options: Options
    options_form: object

    @validate("profiles")
    def _check_profiles(self, proposal: Proposal) -> Declared:
        if not callable(proposal.value):
            distinct(proposal.value)
        return proposal.value

    @default("options_form")
    def _options_form_default(self) -> object:
        if not self._has_plain_form:
            return _own_form
        return render_list(
            self._static_profiles(), self.form_template, self.input_template, self.first_template
        )

    @default("apply_user_options")
    def _apply_user_options_default(self) -> object:
        return _apply

    @default("template_paths")
    def _template_paths_default(self) -> list[str]:
        return list(self.config.get("BatchSpawnerBase", {}).get("template_paths", []))

    @default("language")
    def _language_default(self) -> str:
        return str(self.config.get("BatchSpawnerBase", {}).get("language", ""))

    @property
    def _declared(self) -> Declared:
        declared: Declared = self.profiles
        return declared

    def _static_profiles(self) -> list[Profile]:
        """Return the profiles of a list; none if the configuration has a function."""
        declared = self._declared
        return [] if callable(declared) else distinct(declared)

    async def known_profiles(self) -> list[Profile]:
        """Return all profiles, those of other users too."""
        declared = self._declared
        return distinct(await resolve(declared(self)) if callable(declared) else declared)

    @property
    def _has_plain_form(self) -> bool:
        """Whether the profiles are tuples without options, which need no more than a list."""
        profiles = self._static_profiles()
        if not profiles or not all(profile.is_plain for profile in profiles):
            return False
        if (self.form_template, self.input_template) != (FORM, OPTION):
            return True
        made = [OfferedProfile(self, profile) for profile in profiles]
        return not any(one.child.options_form for one in made)

    def options_from_form(self, formdata: FormData) -> Options | Awaitable[Options]:
        """Return the choice in a form or an address, the first profile if it makes none.

        JupyterHub calls it, and awaits the answer if necessary.
        """
        if not self._has_plain_form:
            return self._read_form(formdata)
        profiles = self._static_profiles()
        key = formdata.get("profile", [profiles[0].slug])[0]
        return {"profile": find_profile(profiles, key).slug}

    async def _read_form(self, formdata: FormData) -> Options:
        self._reader.note_form(language_of(formdata))
        with translated_by(self.catalogue()):
            return await self._read_translated(formdata)

    async def _read_translated(self, formdata: FormData) -> Options:
        offered = await offered_profiles(self)
        if preset := named_preset(formdata):
            options = preset_options(preset, self.presets, self.user_options)
            formdata = {name: [str(value)] for name, value in options.items()}
        key = formdata.get("profile", [offered[0].slug])[-1]
        self._refused = {"profile": key}
        one = self._pick(offered, key)
        others = [other.prefix for other in offered if other is not one]
        self._refused.update(one.given(formdata, others))
        read = await one.read(formdata, others)
        self._refused = None
        return from_same_source(read, {"profile": key, **read})

    def run_options_from_form(self, form: FormData) -> object:
        """Return the choice in a form that a user has sent; JupyterHub calls it."""
        read = super().run_options_from_form(form)
        return marked(read, by_site=True) if self._is_read_by_site else read

    async def options_from_query(self, query: FormData) -> Options:
        """Return the choice in an address, which is not that of a form; JupyterHub calls it."""
        return {**await resolve(self.options_from_form(query))}

    @property
    def accepts_any_option(self) -> bool:
        """Whether a site's own form, or its own reading of ours, adds options to the profile."""
        return self._is_read_by_site or not (self.options_form is _own_form or self._has_plain_form)

    @property
    def _is_read_by_site(self) -> bool:
        mine = getattr(self.options_from_form, "__func__", None)
        return mine is not ProfilesSpawner.options_from_form

    async def start_estimate(self, form: FormData) -> StartEstimate | None:
        """Return when a server would start with what a form says; None if it cannot be estimated.

        Raises OptionsRefused for what the form would not accept.
        """
        if self._has_plain_form or self.accepts_any_option:
            return None
        offered = await offered_profiles(self)
        one = self._pick(offered, form.get("profile", [offered[0].slug])[-1])
        return await one.start_estimate(
            form, [other.prefix for other in offered if other is not one]
        )

    async def own_form(self) -> str:
        """Return the form of the profiles that are open to the user."""
        with translated_by(self.catalogue()):
            return await self._translated_form()

    def catalogue(self, handler: RequestHandler | None = None) -> Catalogue:
        """Return the texts in the language of a request; by default, of that for the form."""
        handler = handler or getattr(self, "handler", None)
        return self._reader.catalogue(handler, self.language, search_path(self.template_paths))

    async def _translated_form(self) -> str:
        last = self._refused if self._refused is not None else self.user_options
        self._refused = None
        offered = await offered_profiles(self)
        estimate_url = "" if self.accepts_any_option else estimate_url_of(self)
        return await render_profiles(
            offered,
            last or {},
            self.template_paths,
            estimate_url,
            shown_presets(self.presets, self.user_options or {}, partial(checked_options, offered)),
            store_of(self),
        )

    async def take_options(self, given: object) -> None:
        """Choose profile and options, and make the child that will start the server.

        Raises OptionsRefused for a choice that this user may not make.
        """
        if not isinstance(given, dict):
            raise OptionsRefused(OptionsError("options", type(given).__name__, "give an object"))
        offered = await offered_profiles(self)
        one = self._pick(offered, given.get("profile", offered[0].slug))
        rest = {name: value for name, value in given.items() if name != "profile"}
        child, values = await one.choose(from_same_source(given, rest))
        self.child_class, self.child_profile = type(child), one.slug
        self.child_config = one.profile.traits(values)
        apply_environment(child, one.profile.server_environment(values))
        self.use_child(child)

    def _pick(self, offered: list[OfferedProfile], key: object) -> OfferedProfile:
        for one in offered:
            if one.slug == key:
                return one
        raise no_profile(key, [one.slug for one in offered])

    async def run_pre_spawn_hook(self) -> None:
        """Take the options, which JupyterHub < 5.3 has not done before; then run the hook."""
        if self.child_spawner is None:
            await self.take_options(self.user_options)
        await resolve(super().run_pre_spawn_hook())

    def load_child_class(self, state: Mapping[str, object]) -> None:
        """Choose the class and the profile with which a running server was started."""
        self.child_profile = str(state.get("profile", ""))
        # A profile may have been changed, or taken out of the configuration, since then.
        for profile in self._static_profiles():
            if profile.slug == self.child_profile:
                self.child_class = profile.spawner
                self.child_config = profile.traits({})
        if state.get("child_class"):
            self.child_class = import_item(str(state["child_class"]))

    def select_profile(self, key: object) -> None:
        """Choose a profile. Raises HTTPError 400 if none has this key."""
        profile = find_profile(distinct(self.profiles), key)
        self.child_class, self.child_profile = profile.spawner, profile.slug
        self.child_config = profile.traits({})

    def construct_child(self) -> Child:
        """Return the child; without one, make that of the chosen profile, if it is a tuple's.

        Raises RuntimeError if the profile has options, and they have not been checked.
        """
        if self.child_spawner is None and not self.child_profile:
            if not self._has_plain_form:
                raise RuntimeError("the options of this server have not been checked")
            first = self._static_profiles()[0].slug
            self.select_profile(self.user_options.get("profile", first))
        return super().construct_child()

    async def progress(self) -> AsyncIterator[Event]:
        """Yield the child's progress events, once there is a child."""
        while self.child_spawner is None:
            await asyncio.sleep(_POLL_INTERVAL_S)
        async for event in super().progress():
            yield event

    def get_state(self) -> dict[str, object]:
        """Return what is needed to construct the child again after a restart of the Hub."""
        state = super().get_state()
        if "child_state" not in state:
            return state
        cls = self.child_class
        return {
            **state,
            "child_conf": {name: one for name, one in self.child_config.items() if _storable(one)},
            "child_class": f"{cls.__module__}.{cls.__qualname__}",
            "profile": self.child_profile,
        }

    def clear_state(self) -> None:
        """Forget the child and the choice."""
        super().clear_state()
        self.child_profile = ""


def _storable(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


async def _own_form(spawner: ProfilesSpawner) -> str:
    """Render the form; JupyterHub calls it with the spawner."""
    return await spawner.own_form()


async def _apply(spawner: ProfilesSpawner, options: Options) -> None:
    """Take the options of a start; JupyterHub >= 5.3 calls it, however they came."""
    await spawner.take_options(options)


check_when_the_hub_starts()
