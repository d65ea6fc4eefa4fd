"""Choose at run time which spawner starts a user's server."""

from .profiles import ProfilesSpawner
from .wrapspawner import WrapSpawner

__all__ = ["ProfilesSpawner", "WrapSpawner"]
