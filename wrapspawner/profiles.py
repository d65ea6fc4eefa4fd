"""Let users choose one of several configured spawners."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from traitlets import Callable, List, Unicode, Union, default, import_item, validate

from batchspawner.errors import OptionsError
from batchspawner.spawners.options.schema import OptionsRefused

from .environment import apply_surroundings
from .offered_profile import OfferedProfile, offered_profiles
from .profile import Profile, profile_of
from .select_form import FORM, OPTION, is_plain, plain_form, render_profiles
from .wrapspawner import WrapSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyterhub.spawner import Spawner
    from tornado import web


class ProfilesSpawner(WrapSpawner):
    """Offer profiles in a form and start the server by the one that the user chose."""

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

    _refused: dict[str, Any] | None = None

    @validate("profiles")
    def _check_profiles(self, proposal: Any) -> Any:
        if not callable(proposal.value):
            _distinct(proposal.value)
        return proposal.value

    @default("options_form")
    def _options_form_default(self) -> Any:
        if is_plain(self):
            return plain_form(self)
        return _own_form

    @default("apply_user_options")
    def _apply_user_options_default(self) -> Any:
        return _apply

    @default("template_paths")
    def _template_paths_default(self) -> list[str]:
        return list(self.config.get("BatchSpawnerBase", {}).get("template_paths", []))

    async def known_profiles(self) -> list[Profile]:
        """Return all profiles, those of other users too."""
        listed = self.profiles
        if callable(listed):
            listed = await maybe_future(listed(self))
        return _distinct(listed)

    def options_from_form(self, formdata: dict[str, list[str]]) -> Any:
        """Return the choice in a form or an address, the first profile where it makes none.

        JupyterHub awaits the answer where that is needed.
        """
        if not is_plain(self):
            return self._read_form(formdata)
        key = formdata.get("profile", [self.profiles[0][1]])[0]
        self._find(key)
        return {"profile": key}

    async def _read_form(self, formdata: dict[str, list[str]]) -> dict[str, Any]:
        offered = await offered_profiles(self)
        key = formdata.get("profile", [offered[0].slug])[-1]
        self._refused = {"profile": key}
        one = self._pick(offered, key)
        others = [other.prefix for other in offered if other is not one]
        self._refused.update(one.given(formdata, others))
        options = {"profile": key, **await one.read(formdata, others)}
        self._refused = None
        return options

    @property
    def takes_anything(self) -> bool:
        """Whether a site's own form, or its own reading of ours, adds options to the profile."""
        mine = getattr(self.options_from_form, "__func__", None)
        return mine is not ProfilesSpawner.options_from_form or not (
            self.options_form is _own_form or is_plain(self)
        )

    async def own_form(self) -> str:
        """Return the form of the profiles that are open to the user."""
        last = self._refused if self._refused is not None else self.user_options
        self._refused = None
        return await render_profiles(self, await offered_profiles(self), last or {})

    async def take_options(self, given: object) -> None:
        """Choose profile and options, and make the child that will start the server.

        Raises OptionsRefused for a choice that this user may not make.
        """
        if not isinstance(given, dict):
            raise OptionsRefused(OptionsError("options", type(given).__name__, "give an object"))
        offered = await offered_profiles(self)
        one = self._pick(offered, given.get("profile", offered[0].slug))
        rest = {name: value for name, value in given.items() if name != "profile"}
        child, values = await one.choose(rest)
        self.child_class, self.child_profile = type(child), one.slug
        self.child_config = one.profile.traits(values)
        apply_surroundings(child, one.profile.surroundings(values))
        self.adopt_child(child)

    def _pick(self, offered: list[OfferedProfile], key: object) -> OfferedProfile:
        for one in offered:
            if one.slug == key:
                return one
        raise _no_profile(key, [one.slug for one in offered])

    async def run_pre_spawn_hook(self) -> None:
        """Take the options, where JupyterHub < 5.3 has not asked for that; then run the hook."""
        if self.child_spawner is None:
            await self.take_options(self.user_options)
        await maybe_future(super().run_pre_spawn_hook())

    def load_child_class(self, state: dict[str, Any]) -> None:
        """Choose the class and the profile with which a running server was started."""
        self.child_profile = state.get("profile", "")
        # A profile may have been changed, or taken out of the configuration, since then.
        listed = [] if callable(self.profiles) else _distinct(self.profiles)
        for profile in listed:
            if profile.slug == self.child_profile:
                self.child_class = profile.spawner
                self.child_config = profile.traits({})
        if state.get("child_class"):
            self.child_class = import_item(state["child_class"])

    def select_profile(self, key: str) -> None:
        """Take up a profile. Raises HTTPError 400 where there is none with this key."""
        profile = self._find(key)
        self.child_class, self.child_profile = profile.spawner, key
        self.child_config = profile.traits({})

    def _find(self, key: object) -> Profile:
        profiles = _distinct(self.profiles)
        for profile in profiles:
            if profile.slug == key:
                return profile
        raise _no_profile(key, [profile.slug for profile in profiles])

    def construct_child(self) -> Spawner:
        """Return the child; without one, make that of the chosen profile, if it is a tuple's."""
        if self.child_spawner is None and not self.child_profile:
            if not is_plain(self):
                raise RuntimeError("the options of this server have not been checked")
            key = self.user_options.get("profile", self.profiles[0][1])
            self.select_profile(key)
        return super().construct_child()

    async def progress(self) -> AsyncIterator[Any]:
        """Yield what the child says of its start, once there is one."""
        while self.child_spawner is None:
            await asyncio.sleep(0.1)
        async for event in super().progress():
            yield event

    def get_state(self) -> dict[str, Any]:
        """Return what it takes to make the child anew."""
        state = super().get_state()
        if not state:
            return state
        cls = self.child_class
        return {
            **state,
            "child_conf": {name: one for name, one in self.child_config.items() if _storable(one)},
            "child_class": f"{cls.__module__}.{cls.__qualname__}",
            "profile": self.child_profile,
        }

    def clear_state(self) -> None:
        """Let go of the child and of the choice."""
        super().clear_state()
        self.child_profile = ""


def _distinct(listed: Any) -> list[Profile]:
    """Return the declared profiles. Raises ValueError for a wrong one, or two with one key."""
    profiles = [profile_of(one) for one in listed]
    keys = [profile.slug for profile in profiles]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"c.ProfilesSpawner.profiles: more than one has the key {twice[0]!r}")
    return profiles


def _no_profile(key: object, known: list[str]) -> web.HTTPError:
    shown = key if isinstance(key, str) and len(key) < 100 else type(key).__name__
    return OptionsRefused(f"there is no profile {shown!r}; choose one of {', '.join(known)}")


def _storable(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


async def _own_form(spawner: ProfilesSpawner) -> str:
    """Render the form; JupyterHub calls it with the spawner."""
    return await spawner.own_form()


async def _apply(spawner: Any, options: dict[str, Any]) -> None:
    """Take the options of a start; JupyterHub >= 5.3 calls it, however they came."""
    await spawner.take_options(options)
