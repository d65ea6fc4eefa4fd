"""The profiles that a configuration declares, by their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchspawner.spawners.options.schema import OptionsRefused

from .declarations import profile_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .profile import Profile


def distinct(listed: Iterable[object]) -> list[Profile]:
    """Return the declared profiles. Raises ValueError for a wrong one, or two with one key."""
    profiles = [profile_of(one) for one in listed]
    keys = [profile.slug for profile in profiles]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"c.ProfilesSpawner.profiles: more than one has the key {twice[0]!r}")
    return profiles


def find_profile(profiles: Sequence[Profile], key: object) -> Profile:
    """Return the profile with a key. Raises OptionsRefused if there is none."""
    for profile in profiles:
        if profile.slug == key:
            return profile
    raise no_profile(key, [profile.slug for profile in profiles])


def no_profile(key: object, known: list[str]) -> OptionsRefused:
    """Return the refusal of a key that none of the known ones is."""
    shown = key if isinstance(key, str) and len(key) < 100 else type(key).__name__
    return OptionsRefused(f"there is no profile {shown!r}; choose one of {', '.join(known)}")
