"""Run Jupyter on a batch cluster: servers, kernels, cells, functions and ipyparallel clusters.

Importing this package costs next to nothing: a name is loaded when it is first used. In a
JupyterHub, it also registers the handler that jobs report to.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ._version import __version__, version_info

_SPAWNERS = ".batchspawner"
_HOMES = {
    "BatchClient": ".client",
    "BlockingClient": ".client",
    "JobRequest": ".jobs",
    "JobState": ".jobs",
    "BatchSpawnerBase": _SPAWNERS,
    "BatchSpawnerRegexStates": _SPAWNERS,
    "CondorSpawner": _SPAWNERS,
    "GridengineSpawner": _SPAWNERS,
    "JobStatus": _SPAWNERS,
    "LocalQueueSpawner": _SPAWNERS,
    "LsfSpawner": _SPAWNERS,
    "MoabSpawner": _SPAWNERS,
    "MultiSlurmSpawner": _SPAWNERS,
    "OarSpawner": _SPAWNERS,
    "PBSSpawner": _SPAWNERS,
    "SlurmSpawner": _SPAWNERS,
    "TorqueSpawner": _SPAWNERS,
    "UserEnvMixin": _SPAWNERS,
    "format_template": ".templating",
    "use_pages": ".spawners.progress.pages",
    "ProfilesSpawner": "wrapspawner",
    "WrapSpawner": "wrapspawner",
    # Names that `from batchspawner import *` has always brought along.
    **dict.fromkeys(
        ("Dict", "ET", "Enum", "Float", "Integer", "Spawner", "Template", "Unicode"), _SPAWNERS
    ),
    **dict.fromkeys(("asyncio", "default", "os", "pwd", "re", "set_user_setuid"), _SPAWNERS),
}
_MODULES = ("api", "batchspawner", "singleuser")

__all__ = ["__version__", "version_info", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


if "jupyterhub.app" in sys.modules:
    # The configuration of a Hub imports us for this.
    import_module(".api", __name__)
