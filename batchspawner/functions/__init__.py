"""Run Python functions as batch jobs, with results, on any scheduler or on none."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Executor": ".executor",
    "JobFuture": ".futures",
    "CannotTravel": ".payload",
    "PythonMismatch": ".results",
    "RemoteError": ".results",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
