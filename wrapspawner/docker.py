"""Offer the Docker images of this machine as profiles, beside the configured ones."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

from traitlets import Dict, List, default

from .profiles import ProfilesSpawner

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMAGE = re.compile(r".*jupyterhub")
_GPU_PLUGIN = "http://127.0.0.1:3476/v1.0/docker/cli/json"
_GPU_TIMEOUT = 2.0


class DockerProfilesSpawner(ProfilesSpawner):
    """Offer every image whose tag ends in ``jupyterhub``; it needs docker and dockerspawner."""

    default_profiles: Any = List(
        help="Profiles to offer besides the images, as in ProfilesSpawner.profiles."
    ).tag(config=True)
    docker_spawner_args = Dict(help="Traits of the spawner of every image.").tag(config=True)

    @default("profiles")
    def _profiles_default(self) -> Any:
        return _profiles_of

    async def image_profiles(self) -> list[dict[str, Any]]:
        """Return one profile an image; none where Docker does not answer."""
        loop = asyncio.get_running_loop()
        tags = await loop.run_in_executor(None, self.image_tags)
        gpu = await loop.run_in_executor(None, self.gpu_args) if tags else {}
        return [self._profile(tag, gpu) for tag in tags]

    def image_tags(self) -> list[str]:
        """Return the tags of the images that can be a server."""
        try:
            import docker  # type: ignore[import-not-found,import-untyped,unused-ignore]

            images = docker.from_env().images.list()
        except ImportError:
            self.log.error("DockerProfilesSpawner needs the package docker, for Python")
            return []
        except docker.errors.DockerException as error:
            self.log.error("Docker does not tell its images: %s", error)
            return []
        return sorted(tag for image in images for tag in image.tags if _IMAGE.fullmatch(tag))

    def gpu_args(self) -> dict[str, Any]:
        """Return the traits that give a container the GPUs, where Nvidia's plugin answers."""
        try:
            with urllib.request.urlopen(_GPU_PLUGIN, timeout=_GPU_TIMEOUT) as answer:
                told: Mapping[str, Any] = json.load(answer)
            volumes = dict(volume.split(":")[:2] for volume in told["Volumes"])
            return {
                "read_only_volumes": volumes,
                "extra_create_kwargs": {"volume_driver": told["VolumeDriver"]},
                "extra_host_config": {"devices": told["Devices"]},
            }
        except (OSError, ValueError, KeyError):
            return {}

    def _profile(self, tag: str, gpu: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "display_name": f"Docker: ({'w/GPU' if gpu else 'no GPU'}): {tag}",
            "slug": f"docker-{re.sub('[^A-Za-z0-9_.]+', '-', tag)}",
            "spawner": "dockerspawner.SystemUserSpawner",
            "override": {"image": tag, **self.docker_spawner_args, **gpu},
        }


async def _profiles_of(spawner: DockerProfilesSpawner) -> list[Any]:
    return [*spawner.default_profiles, *await spawner.image_profiles()]
