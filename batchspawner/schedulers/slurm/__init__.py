"""Everything about Slurm."""

from .scheduler import Slurm

__all__ = ["Slurm"]
