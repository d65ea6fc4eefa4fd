"""Everything about Torque."""

from .scheduler import Torque

__all__ = ["Torque"]
