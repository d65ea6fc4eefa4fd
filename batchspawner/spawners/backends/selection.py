"""Find out whether a site speaks to its scheduler with commands of its own.

Where it does, its commands rule, exactly as it wrote them; otherwise the scheduler layer does
the work.
"""

from __future__ import annotations

from typing import Any

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
    """Return the class of this library from which a site's own class comes."""
    return next(base for base in cls.__mro__ if base.__module__.startswith(_OURS))


def customisations(spawner: Any) -> list[str]:
    """Return the names of the traits and methods with which a site speaks for itself."""
    stock = stock_class(type(spawner))
    return [
        *(name for name in _TRAITS if _trait_differs(spawner, stock, name)),
        *(name for name in _METHODS if _method_differs(spawner, stock, name)),
    ]


def _trait_differs(spawner: Any, stock: Any, name: str) -> bool:
    if not hasattr(stock, name):
        return False
    return bool(getattr(spawner, name) != stock.class_traits()[name].default_value)


def _method_differs(spawner: Any, stock: type, name: str) -> bool:
    mine = getattr(spawner, name)
    return getattr(mine, "__func__", mine) is not getattr(stock, name)
