"""The HTML forms from which users select a profile."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

from batchspawner.spawners.options.form import shown_fields
from batchspawner.templating import render_page, search_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .offered_profile import OfferedProfile
    from .profile import Profile

FORM = """<label for="profile">Select a job profile:</label>
<select class="form-control" name="profile" required autofocus>
{input_template}
</select>"""
OPTION = """<option value="{key}" {first}>{display}</option>"""


def render_list(
    profiles: Sequence[Profile], form_template: str, input_template: str, first_template: str
) -> str:
    """Return a list of profiles to choose from, made of the configured templates."""
    options = [
        input_template.format(
            display=escape(profile.display_name),
            key=escape(profile.slug),
            type=escape(profile.spawner.__name__),
            first="" if number else first_template,
        )
        for number, profile in enumerate(profiles)
    ]
    return form_template.format(input_template="".join(options))


async def render_profiles(
    offered: Sequence[OfferedProfile],
    last: Mapping[str, object],
    template_paths: Sequence[str],
    estimate_url: str = "",
    presets: Sequence[Mapping[str, object]] = (),
    store: str = "",
) -> str:
    """Return the form of the profiles that are on offer, filled with the last choice."""
    keys = [one.slug for one in offered]
    chosen = last.get("profile") if last.get("profile") in keys else keys[0]
    profiles = [
        await _shown(one, index, chosen == one.slug, last) for index, one in enumerate(offered)
    ]
    variables = {
        "profiles": profiles,
        "estimate_url": estimate_url,
        "presets": presets,
        "store": store,
    }
    return render_page("forms/profiles.html", variables, search_path(template_paths))


async def _shown(
    one: OfferedProfile, index: int, is_chosen: bool, last: Mapping[str, object]
) -> dict[str, object]:
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
        "availability": one.queue_table(),
    }
