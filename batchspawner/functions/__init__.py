"""Run Python functions as batch jobs, with results, on any scheduler or on none."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "dispatch.batch": "BatchDispatcher SlurmDispatcher attach",
    "dispatch.bundles": "Batch JobBundling",
    "defaults": "set_default_configuration update_default_configuration",
    "dispatch.base": "DirectCallDispatcher Dispatcher SubprocessDispatcher TestDispatcher "
    "get_dispatcher join sbatch set_dispatcher srun",
    "executor.executor": "Executor",
    "futures": "JobFuture",
    "submit_limits": "TooManyDispatchesError allow_recursive_distribution "
    "disable_warning_on_repeated_flushes node_setup set_dispatch_limit",
    "protocol.payload": "CannotTravel",
    "wait_display": "progress",
    "protocol.results": "PythonMismatch RemoteError",
    "dispatch.shell_command": "CommandFailed shell",
    "function": "SlurmFunction set_entry_point slurmify",
}
_HOMES = {name: f".{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
