"""Everything about HTCondor."""

from .scheduler import HTCondor

__all__ = ["HTCondor"]
