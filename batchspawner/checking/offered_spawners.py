"""The spawners that a site's configuration makes for a user: one, or one for each profile."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from .findings import CheckAborted, Finding, Verdict, skipped, wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from .configuration import CheckedSpawner, Site

_UNUSED_ROW_ID = 2**31 - 1

_SPAWNER_CURE = 'c.JupyterHub.spawner_class = "slurm"  # or gridengine, pbs, lsf, condor, oar ...'


class OfferedProfile(Protocol):
    """What the checks use of a profile."""

    slug: str
    spawner: type

    def is_open_to(self, user: object, spawner: object) -> Awaitable[bool]: ...


class MadeSpawner(Protocol):
    """What JupyterHub makes for a user: a spawner, or a wrapper around others."""

    user: object
    api_token: str


class ProfilesWrapper(MadeSpawner, Protocol):
    """What the checks use of a spawner with profiles."""

    child_spawner: object

    def known_profiles(self) -> Awaitable[list[OfferedProfile]]: ...

    def take_options(self, given: object) -> Awaitable[None]: ...


@dataclass(frozen=True)
class Choice:
    """What a user may start: a profile, or the only spawner, whose `slug` is empty."""

    slug: str
    spawner: type
    is_open: bool = True


def make_outer(site: Site, user: str) -> MadeSpawner:
    """Return what the Hub would make for a user, on a database of its own. Raises CheckAborted."""
    from jupyterhub import orm
    from jupyterhub.objects import Server
    from jupyterhub.user import User

    db = site.database()
    row = orm.User(name=user)
    db.add(row)
    db.commit()
    settings = {
        "config": site.config,
        "spawner_class": site.app.spawner_class,
        "hub": site.app.hub,
        "base_url": site.app.base_url,
        "app": site.app,
    }
    try:
        owner = User(row, settings)
        made = owner.spawners[""]
        server = orm.Server(base_url=owner.base_url)
        db.add(server)
        db.commit()
        made.server = Server(orm_server=server)
    except Exception as error:
        text = f"{site.section} cannot be created: {type(error).__name__}: {error}"
        raise CheckAborted(wrong("configuration", text)) from error
    # It is not valid anywhere, but travels as a real one would.
    made.api_token = f"check-{secrets.token_hex(16)}"
    return cast("MadeSpawner", made)


async def choices_of(outer: MadeSpawner, wanted: str = "") -> list[Choice]:
    """Return what the user can choose, or only the profile `wanted`. Raises CheckAborted."""
    if not hasattr(outer, "known_profiles"):
        if wanted:
            text = f"{type(outer).__name__} has no profiles, so none is called {wanted}"
            raise CheckAborted(wrong("profile", text))
        inner = getattr(outer, "child_class", type(outer))
        return [Choice("", inner)]
    wrapper = cast("ProfilesWrapper", outer)
    try:
        profiles = await wrapper.known_profiles()
        found = [
            Choice(one.slug, one.spawner, await one.is_open_to(wrapper.user, wrapper))
            for one in profiles
        ]
    except Exception as error:
        text = f"the profiles cannot be read: {type(error).__name__}: {error}"
        raise CheckAborted(
            wrong("profile", text, f"see c.{type(outer).__name__}.profiles")
        ) from error
    chosen = [one for one in found if one.slug == wanted] if wanted else found
    if not chosen:
        known = ", ".join(one.slug for one in found)
        text = f"there is no profile {wanted}; the profiles are {known}"
        raise CheckAborted(wrong("profile", text))
    return chosen


def check_jobs(choices: Sequence[Choice]) -> None:
    """Check that anything on offer starts batch jobs. Raises CheckAborted."""
    if not any(_starts_jobs(one) for one in choices):
        names = ", ".join(dict.fromkeys(one.spawner.__name__ for one in choices))
        text = f"{names} {'does' if len(choices) == 1 else 'do'} not start batch jobs"
        raise CheckAborted(wrong("configuration", text, _SPAWNER_CURE))


def _starts_jobs(choice: Choice) -> bool:
    from ..spawners import BatchSpawnerBase

    return issubclass(choice.spawner, BatchSpawnerBase)


async def spawner_of(
    outer: MadeSpawner, choice: Choice, options: Mapping[str, str]
) -> CheckedSpawner:
    """Return the spawner that starts a choice with these options. Raises CheckAborted."""
    if not choice.is_open:
        raise CheckAborted(skipped("profile", "it is not open to this user: see --user"))
    if not _starts_jobs(choice):
        text = f"{choice.spawner.__name__} does not start batch jobs: there is nothing to check"
        raise CheckAborted(skipped("profile", text))
    try:
        inner = await _choose(outer, choice, options)
    except Exception as error:
        raise CheckAborted(_refusal(error, options)) from error
    # Files of a server are named after the id of its row: no server of the Hub has this one.
    inner.orm_spawner.id = _UNUSED_ROW_ID
    # Its methods can be replaced: a probe takes the place of the server.
    return inner


async def _choose(outer: MadeSpawner, choice: Choice, options: Mapping[str, str]) -> CheckedSpawner:
    from ..spawners.options.site_form import marked

    if choice.slug:
        wrapper = cast("ProfilesWrapper", outer)
        await wrapper.take_options({"profile": choice.slug, **options})
        return cast("CheckedSpawner", wrapper.child_spawner)
    construct = getattr(outer, "construct_child", None)
    inner = cast("CheckedSpawner", construct() if construct else outer)
    # As if they came from the site's form.
    given = dict(options)
    inner.user_options = {**given}
    await inner.take_options(marked(given, by_site=True))
    return inner


def _refusal(error: Exception, options: Mapping[str, str]) -> Finding:
    from ..spawners.options.schema import OptionsRefused

    if not isinstance(error, OptionsRefused):
        text = f"no server can be started: {type(error).__name__}: {error}"
        return wrong("options", text)
    if options:
        return wrong("options", f"what was given by --option is refused: {error}")
    cure = "batchspawner check --option NAME=VALUE   (what a user would choose)"
    return Finding("options", Verdict.SKIPPED, f"a user has to choose first: {error}", cure)
