"""Start JupyterHub users' servers as batch jobs."""

from .base import BatchSpawnerBase
from .conflicts import warn_of_old_wrapspawner
from .environment import UserEnvMixin
from .flavours import LocalQueueSpawner, MultiSlurmSpawner, SlurmSpawner
from .regexstates import BatchSpawnerRegexStates
from .state import JobStatus

warn_of_old_wrapspawner()

__all__ = [
    "BatchSpawnerBase",
    "BatchSpawnerRegexStates",
    "JobStatus",
    "LocalQueueSpawner",
    "MultiSlurmSpawner",
    "SlurmSpawner",
    "UserEnvMixin",
]
