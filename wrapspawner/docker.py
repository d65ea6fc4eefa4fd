"""A spawner that offers the Docker images of this machine as profiles."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from typing import TYPE_CHECKING, Protocol, TypedDict

from traitlets import Dict, List, default

from .profiles import ProfilesSpawner

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMAGE = re.compile(r".*jupyterhub")
_GPU_PLUGIN = "http://127.0.0.1:3476/v1.0/docker/cli/json"
_GPU_TIMEOUT_S = 2.0


class GpuPlugin(TypedDict):
    """The answer of Nvidia's plugin for Docker."""

    Volumes: list[str]
    VolumeDriver: str
    Devices: list[str]


class Image(Protocol):
    """An image, as the package docker lists it."""

    @property
    def tags(self) -> list[str]: ...


class DockerProfilesSpawner(ProfilesSpawner):
    """A `ProfilesSpawner` with a profile for every image whose tag ends in ``jupyterhub``.

    It needs the packages docker and dockerspawner.
    """

    default_profiles: List[object] = List(
        help="Profiles to offer besides the images, as in ProfilesSpawner.profiles."
    ).tag(config=True)
    docker_spawner_args: Dict[str, object] = Dict(help="Traits of the spawner of every image.").tag(
        config=True
    )

    @default("profiles")
    def _profiles_default(self) -> object:
        return _profiles_of

    async def image_profiles(self) -> list[dict[str, object]]:
        """Return one profile for each image; none if Docker does not answer."""
        loop = asyncio.get_running_loop()
        tags = await loop.run_in_executor(None, self.image_tags)
        gpu = await loop.run_in_executor(None, self.gpu_args) if tags else {}
        return [self._profile(tag, gpu) for tag in tags]

    def image_tags(self) -> list[str]:
        """Return the tags of the images that can be a server."""
        try:
            import docker  # type: ignore[import-not-found,import-untyped,unused-ignore]

            images: list[Image] = docker.from_env().images.list()
        except ImportError:
            self.log.error("DockerProfilesSpawner needs the package docker, for Python")
            return []
        except docker.errors.DockerException as error:
            self.log.error("Docker does not list its images: %s", error)
            return []
        return sorted(tag for image in images for tag in image.tags if _IMAGE.fullmatch(tag))

    def gpu_args(self) -> dict[str, object]:
        """Return the traits that give a container the GPUs, if Nvidia's plugin answers."""
        try:
            with urllib.request.urlopen(_GPU_PLUGIN, timeout=_GPU_TIMEOUT_S) as answer:
                plugin: GpuPlugin = json.load(answer)
            volumes = dict(volume.split(":")[:2] for volume in plugin["Volumes"])
            return {
                "read_only_volumes": volumes,
                "extra_create_kwargs": {"volume_driver": plugin["VolumeDriver"]},
                "extra_host_config": {"devices": plugin["Devices"]},
            }
        except (OSError, ValueError, KeyError):
            return {}

    def _profile(self, tag: str, gpu: Mapping[str, object]) -> dict[str, object]:
        return {
            "display_name": f"Docker: ({'w/GPU' if gpu else 'no GPU'}): {tag}",
            "slug": f"docker-{re.sub('[^A-Za-z0-9_.]+', '-', tag)}",
            "spawner": "dockerspawner.SystemUserSpawner",
            "override": {"image": tag, **self.docker_spawner_args, **gpu},
        }


async def _profiles_of(spawner: DockerProfilesSpawner) -> list[object]:
    return [*spawner.default_profiles, *await spawner.image_profiles()]
