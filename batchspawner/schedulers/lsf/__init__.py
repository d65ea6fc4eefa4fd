"""Everything about LSF."""

from .scheduler import LSF

__all__ = ["LSF"]
