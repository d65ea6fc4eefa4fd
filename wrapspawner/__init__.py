"""Choose at run time which spawner starts a user's server."""

from .docker import DockerProfilesSpawner
from .profiles import ProfilesSpawner
from .wrapspawner import WrapSpawner

__all__ = ["DockerProfilesSpawner", "ProfilesSpawner", "WrapSpawner"]
