"""Spawners around other spawners: which one starts a server is decided at run time."""

from .docker import DockerProfilesSpawner
from .profiles import ProfilesSpawner
from .wrapspawner import WrapSpawner

__all__ = ["DockerProfilesSpawner", "ProfilesSpawner", "WrapSpawner"]
