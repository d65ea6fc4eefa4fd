"""Run ipyparallel clusters as batch jobs, and reach them from anywhere over ssh.

`launchers` has what ipyparallel's own `Cluster` and `ipcluster` start by the name ``batch``.
"""

from __future__ import annotations

from .cluster import Cluster
from .connection import Connection, connect

__all__ = ["Cluster", "Connection", "connect"]
