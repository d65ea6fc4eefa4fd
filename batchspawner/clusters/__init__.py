"""ipyparallel clusters that run as batch jobs, and connections to them over ssh.

`launchers` has the classes that ipyparallel's own `Cluster` and `ipcluster` use.
"""

from __future__ import annotations

from .cluster import Cluster
from .connection import Connection, connect

__all__ = ["Cluster", "Connection", "connect"]
