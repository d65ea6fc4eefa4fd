"""Additions to JupyterHub's pages: how a server starts, ends, and how much time it has left."""

from __future__ import annotations

import time
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ...translation import gettext, language, ngettext, translated, use_catalogue
from ..hub.jupyterhub import CAN_STOP_STARTING, innermost
from ..hub.reader_language import page_catalogue
from ..server_job import ServerJob
from .card import card_of
from .past_ends import end_in_state, past_end_of
from .time_left import say_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..hub.jupyterhub import HubUser
    from .card import StartingSpawner

_WARN_BEFORE_END_S = 900.0
"""Time before the end of a server from which on it is shown as a warning."""


def use_pages(c: Any) -> None:
    """Make a Hub show these pages; call it in jupyterhub_config.py with the configuration.

    A site's own templates of the same names take precedence, if their folder is set before.
    """
    folder = str(files("batchspawner.templates").joinpath("hub"))
    paths = c.JupyterHub.template_paths
    # JupyterHub itself adds the folder of its own pages behind all others.
    c.JupyterHub.template_paths = [*(paths if isinstance(paths, list) else ()), folder]
    # Not the functions themselves: JupyterHub would call them for each page, without a user, too.
    helpers = SimpleNamespace(
        card=card,
        home=home,
        servers=servers,
        starting=starting,
        end_of=end_of,
        endings=past_ends,
        has_form=has_form,
        can_stop_starting=CAN_STOP_STARTING,
        gettext_for=gettext_for,
        ngettext=ngettext,
        language=language,
    )
    c.JupyterHub.template_vars.update({"batchspawner": helpers})


def gettext_for(static_url: Callable[..., str]) -> Callable[..., str]:
    """Use the language of a page's reader from here on, and return `gettext`; templates call it.

    JupyterHub gives no request to a template, but a method of its handler.
    """
    use_catalogue(page_catalogue(getattr(static_url, "__self__", None)))
    return gettext


def card(user: HubUser, name: str = "") -> dict[str, Any]:
    """Return the card of a user's server (`card_of`), empty if it has none or is not one of ours.

    Templates call it, and whoever shows servers elsewhere.
    """
    outer = user.spawners.get(name)
    if outer is None or not outer.active:
        return {}
    spawner = innermost(outer)
    if not isinstance(getattr(spawner, "job", None), ServerJob):
        return {}
    found: dict[str, Any] = translated(card_of(cast("StartingSpawner", spawner)))
    return found


def home(user: HubUser) -> dict[str, Any]:
    """Return what the home page shows of a user's servers, as JSON.

    - `servers`: the card of each one that is active, with its `name`, its `url`, whether it is
      `ready`, and what JupyterHub does with it (`pending`: ``spawn``, ``stop`` …, or empty)
    - `ended`: how each server ended that nobody stopped, or why it has not started, in a sentence
    """
    found = []
    for name in sorted(user.spawners):
        known, outer = card(user, name), user.spawners[name]
        if known:
            if outer.pending == "stop":
                known["state"] = "stopping"
            about = {"url": user.server_url(name), "ready": outer.ready}
            found.append({**known, "name": name, "pending": outer.pending or "", **about})
    return {"servers": found, "ended": list(past_ends(user))}


def servers(user: HubUser) -> Iterator[dict[str, object]]:
    """Yield the time left of each server of a user that has a limit; the template calls it."""
    for name in sorted(user.spawners):
        known = card(user, name) if user.spawners[name].ready else {}
        end = known.get("ends")
        if end is not None:
            yield {
                "name": name,
                "job_id": known["job_id"],
                "left": say_left(end),
                "end": end,
                "soon": end - time.time() < _WARN_BEFORE_END_S,
            }


def starting(user: HubUser) -> Iterator[dict[str, Any]]:
    """Yield the card of each server of a user that starts, with its name; the template calls it."""
    for name in sorted(user.spawners):
        known = card(user, name) if user.spawners[name].pending == "spawn" else {}
        if known:
            yield {**known, "name": name}


def has_form(user: HubUser, name: str = "") -> bool:
    """Return whether a user chooses something before a server starts; the template calls it."""
    outer = user.spawners.get(name)
    return bool(getattr(outer, "options_form", ""))


def end_of(user: HubUser, name: str = "") -> str:
    """Return how a user's server ended, empty if it was stopped; the template calls it."""
    row, outer = user.orm_spawners.get(name), user.spawners.get(name)
    if row is None or (outer is not None and outer.active):
        return ""
    return str(translated(past_end_of(user.name, name) or end_in_state(row.state)))


def past_ends(user: HubUser) -> Iterator[str]:
    """Yield how each server of a user ended that nobody stopped; the template calls it."""
    yield from filter(None, (end_of(user, name) for name in sorted(user.orm_spawners)))
