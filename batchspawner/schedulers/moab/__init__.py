"""Everything about Moab."""

from .scheduler import Moab

__all__ = ["Moab"]
