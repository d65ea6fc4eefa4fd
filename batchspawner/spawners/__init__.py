"""Start JupyterHub users' servers as batch jobs."""

from .base import BatchSpawnerBase
from .gridengine import GridengineSpawner
from .htcondor import CondorSpawner
from .local import LocalQueueSpawner
from .lsf import LsfSpawner
from .oar import OarSpawner
from .old_wrapspawner import warn_of_old_wrapspawner
from .regex_states import BatchSpawnerRegexStates
from .server_job import JobStatus
from .slurm import MultiSlurmSpawner, SlurmSpawner
from .torque import MoabSpawner, PBSSpawner, TorqueSpawner
from .traits.environment import UserEnvMixin

warn_of_old_wrapspawner()

__all__ = [
    "BatchSpawnerBase",
    "BatchSpawnerRegexStates",
    "CondorSpawner",
    "GridengineSpawner",
    "JobStatus",
    "LocalQueueSpawner",
    "LsfSpawner",
    "MoabSpawner",
    "MultiSlurmSpawner",
    "OarSpawner",
    "PBSSpawner",
    "SlurmSpawner",
    "TorqueSpawner",
    "UserEnvMixin",
]
