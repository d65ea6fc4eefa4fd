"""Everything about OAR."""

from .scheduler import OAR

__all__ = ["OAR"]
