"""Everything about PBS Pro and OpenPBS."""

from .scheduler import PBSPro

__all__ = ["PBSPro"]
