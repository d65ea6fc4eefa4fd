"""Render the form of the profiles."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from batchspawner.spawners.options.form import shown_fields
from batchspawner.spawners.options.queue_info import shown_offer
from batchspawner.templating import render_page, search_path

from .offered_profile import OfferedProfile
from .profile import profile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

FORM = """<label for="profile">Select a job profile:</label>
<select class="form-control" name="profile" required autofocus>
{input_template}
</select>"""
OPTION = """<option value="{key}" {first}>{display}</option>"""


def is_plain(wrapper: Any) -> bool:
    """Tell whether the profiles are tuples without options, which need no more than a list."""
    listed = wrapper.profiles
    if callable(listed) or any(isinstance(one, Mapping) for one in listed):
        return False
    if (wrapper.form_template, wrapper.input_template) != (FORM, OPTION):
        return True
    made = [OfferedProfile(wrapper, profile_of(one)) for one in listed]
    return not any(one.child.options_form for one in made)


def plain_form(wrapper: Any) -> str:
    """Return a list to choose from, made of the configured templates."""
    options = [
        wrapper.input_template.format(
            display=escape(profile.display_name),
            key=escape(profile.slug),
            type=escape(profile.spawner.__name__),
            first="" if number else wrapper.first_template,
        )
        for number, profile in enumerate(map(profile_of, wrapper.profiles))
    ]
    return str(wrapper.form_template.format(input_template="".join(options)))


async def render_profiles(
    wrapper: Any, offered: Sequence[OfferedProfile], last: Mapping[str, Any]
) -> str:
    """Return the form of the profiles that are on offer, filled with the last choice."""
    keys = [one.slug for one in offered]
    chosen = last.get("profile") if last.get("profile") in keys else keys[0]
    profiles = [
        await _shown(one, index, chosen == one.slug, last) for index, one in enumerate(offered)
    ]
    return render_page(
        "forms/profiles.html", {"profiles": profiles}, search_path(wrapper.template_paths)
    )


async def _shown(
    one: OfferedProfile, index: int, is_chosen: bool, last: Mapping[str, Any]
) -> dict[str, Any]:
    values = one.schema.restored(last if is_chosen else {})
    return {
        "slug": one.slug,
        "id": f"bs-profile-{index}",
        "display_name": one.profile.display_name,
        "description": one.profile.description,
        "chosen": is_chosen,
        "fields": shown_fields(one.schema, values, one.prefix, f"bs-{index}-"),
        # The form of another spawner is as trusted here as it is without a wrapper.
        "html": Markup(await one.html()),  # noqa: S704
        "availability": shown_offer(one.offer) if one.offer else None,
    }
