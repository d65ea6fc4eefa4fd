"""Everything about Grid Engine."""

from .scheduler import GridEngine

__all__ = ["GridEngine"]
