"""The selection of a backend: a site's own commands take precedence over the scheduler layer.

They are run exactly as the site wrote them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...schedulers import scheduler_class, scheduler_names
from .command_backend import CommandBackend
from .customisations import customisations
from .exec_prefix import client_of, prefix_of
from .scheduler_backend import SchedulerBackend
from .unsafe_names import prefix_words, risky_names

if TYPE_CHECKING:
    from .backend import Backend, BackendSpawner


def backend_of(spawner: BackendSpawner) -> Backend:
    """Return the backend of a spawner: the scheduler layer, or the site's own commands."""
    if spawner.scheduler_name not in scheduler_names():
        return CommandBackend(spawner)
    own = customisations(spawner)
    variables = spawner.get_req_subvars()
    words = None
    if not own:
        words = prefix_words(prefix_of(spawner), variables, risky_names(spawner))
    if words is None:
        spawner.log.log(
            logging.WARNING if spawner.launcher else logging.DEBUG,
            "%s: the configuration's own commands are used%s, because of %s",
            spawner.log_name,
            " and not the launcher" if spawner.launcher else "",
            ", ".join(own) or "exec_prefix",
        )
        return CommandBackend(spawner)
    scheduler = scheduler_class(spawner.scheduler_name)()
    client = client_of(scheduler, words, spawner.launcher, str(variables["username"]))
    client.minimum_interval = spawner.query_floor
    return SchedulerBackend(spawner, client)
