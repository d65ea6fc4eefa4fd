"""Start JupyterHub users' servers as batch jobs."""

from .base import BatchSpawnerBase
from .environment import UserEnvMixin
from .flavours import LocalQueueSpawner, MultiSlurmSpawner, SlurmSpawner
from .regexstates import BatchSpawnerRegexStates
from .state import JobStatus

__all__ = [
    "BatchSpawnerBase",
    "BatchSpawnerRegexStates",
    "JobStatus",
    "LocalQueueSpawner",
    "MultiSlurmSpawner",
    "SlurmSpawner",
    "UserEnvMixin",
]
