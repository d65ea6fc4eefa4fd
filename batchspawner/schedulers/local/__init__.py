"""Everything about the embedded queue."""

from .scheduler import LocalQueue

__all__ = ["LocalQueue"]
