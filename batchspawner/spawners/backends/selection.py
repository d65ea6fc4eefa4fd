"""The selection of a backend: a site's own commands take precedence over the scheduler layer.

They are run exactly as the site wrote them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...schedulers import scheduler_class, scheduler_names
from .command_backend import CommandBackend
from .exec_prefix import client_of, prefix_of
from .names import prefix_words, risky_names
from .scheduler_backend import SchedulerBackend

if TYPE_CHECKING:
    from .backend import Backend, BackendSpawner

_TRAITS = (
    "batch_submit_cmd",
    "batch_query_cmd",
    "batch_cancel_cmd",
    "state_pending_re",
    "state_running_re",
    "state_unknown_re",
    "state_exechost_re",
    "state_exechost_exp",
)
_METHODS = (
    "run_command",
    "parse_job_id",
    "query_job_status",
    "state_ispending",
    "state_isrunning",
    "state_isunknown",
    "state_gethost",
)
_OURS = "batchspawner."


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


def stock_class(cls: type) -> type:
    """Return the class of this library from which a site's own class is derived."""
    return next(base for base in cls.__mro__ if base.__module__.startswith(_OURS))


def customisations(spawner: BackendSpawner) -> list[str]:
    """Return the names of the traits and methods that a site has changed for its scheduler."""
    stock = stock_class(type(spawner))
    return [
        *(name for name in _TRAITS if _trait_differs(spawner, stock, name)),
        *(name for name in _METHODS if _method_differs(spawner, stock, name)),
    ]


def _trait_differs(spawner: BackendSpawner, stock: type, name: str) -> bool:
    if not hasattr(stock, name):
        return False
    default: object = getattr(stock, name).default_value
    value: object = getattr(spawner, name)
    return value != default


def _method_differs(spawner: BackendSpawner, stock: type, name: str) -> bool:
    method: object = getattr(spawner, name)
    function: object = getattr(method, "__func__", method)
    return function is not getattr(stock, name)
