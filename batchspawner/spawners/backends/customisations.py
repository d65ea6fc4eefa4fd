"""What a site has changed of how a spawner of this library speaks with its scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend import BackendSpawner

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


def stock_value(spawner: BackendSpawner, name: str) -> object:
    """Return the value that a trait has in this library's class of a spawner."""
    value: object = getattr(stock_class(type(spawner)), name).default_value
    return value


def _trait_differs(spawner: BackendSpawner, stock: type, name: str) -> bool:
    if not hasattr(stock, name):
        return False
    value: object = getattr(spawner, name)
    return value != stock_value(spawner, name)


def _method_differs(spawner: BackendSpawner, stock: type, name: str) -> bool:
    method: object = getattr(spawner, name)
    function: object = getattr(method, "__func__", method)
    return function is not getattr(stock, name)
