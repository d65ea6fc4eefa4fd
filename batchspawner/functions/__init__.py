"""Python functions as batch jobs, with results: the decorator, the futures and the executor."""

from __future__ import annotations

from importlib import import_module

_MODULES = {
    "dispatch.batch": "BatchDispatcher SlurmDispatcher attach",
    "dispatch.bundles": "Batch JobBundling",
    "defaults": "set_default_configuration update_default_configuration",
    "dispatch.base": "DirectCallDispatcher Dispatcher SubprocessDispatcher TestDispatcher",
    "dispatch.current_dispatcher": "get_dispatcher join set_dispatcher",
    "executor.executor": "Executor",
    "futures": "JobFuture",
    "submit_limits": "TooManyDispatchesError allow_recursive_distribution "
    "disable_warning_on_repeated_flushes node_setup set_dispatch_limit",
    "protocol.payload": "CannotTravel",
    "wait_display": "progress",
    "protocol.results": "PythonMismatch RemoteError",
    "dispatch.shell_command": "CommandFailed",
    "shell_jobs": "sbatch shell srun",
    "function": "SlurmFunction set_entry_point slurmify",
}
_MODULE_OF = {name: f".{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
