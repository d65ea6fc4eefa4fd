from __future__ import annotations

import io
import json
import sys
import urllib.error
from types import ModuleType, SimpleNamespace

import pytest
from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Dict, Unicode

from tests.spawners.site import make_spawner
from wrapspawner.docker import DockerProfilesSpawner


class SystemUserSpawner(LocalProcessSpawner):
    """What dockerspawner has, as far as these tests look at it."""

    image = Unicode()
    network_name = Unicode()
    read_only_volumes = Dict()
    extra_create_kwargs = Dict()
    extra_host_config = Dict()


@pytest.fixture
def docker(monkeypatch):
    """A Docker that has some images, and no GPUs unless a test says so."""
    told = SimpleNamespace(tags=[["lab-jupyterhub", "lab:1"], [], ["site/big_jupyterhub"]], gpu="")
    images = SimpleNamespace(list=lambda: [SimpleNamespace(tags=tags) for tags in told.tags])
    module = ModuleType("docker")
    module.from_env = lambda: SimpleNamespace(images=images)
    module.errors = SimpleNamespace(DockerException=OSError)
    spawners = ModuleType("dockerspawner")
    spawners.SystemUserSpawner = SystemUserSpawner
    monkeypatch.setitem(sys.modules, "docker", module)
    monkeypatch.setitem(sys.modules, "dockerspawner", spawners)

    def urlopen(url, timeout):
        if not told.gpu:
            raise urllib.error.URLError("refused")
        return io.StringIO(told.gpu)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    told.module = module
    return told


def spawner(**traits):
    default = [("Here", "here", LocalProcessSpawner, {})]
    config = {"default_profiles": default, **traits}
    return make_spawner(DockerProfilesSpawner, {"DockerProfilesSpawner": config})


async def names(one) -> list[str]:
    return [profile.display_name for profile in await one.known_profiles()]


async def test_the_images_for_jupyterhub_are_offered_after_the_configured_profiles(docker):
    assert await names(spawner()) == [
        "Here",
        "Docker: (no GPU): lab-jupyterhub",
        "Docker: (no GPU): site/big_jupyterhub",
    ]


async def test_a_chosen_image_starts_with_the_configured_traits(docker):
    one = spawner(docker_spawner_args={"network_name": "hub"})
    await one.take_options({"profile": "docker-site-big_jupyterhub"})
    child = one.child_spawner
    assert (type(child), child.image, child.network_name) == (
        SystemUserSpawner,
        "site/big_jupyterhub",
        "hub",
    )


async def test_a_machine_with_gpus_gives_them_to_the_containers(docker):
    docker.gpu = json.dumps(
        {"Volumes": ["nvidia:/usr/local/nvidia:ro"], "VolumeDriver": "nvidia", "Devices": ["/d"]}
    )
    one = spawner()
    await one.take_options({"profile": "docker-lab-jupyterhub"})
    child = one.child_spawner
    assert (child.read_only_volumes, child.extra_create_kwargs, child.extra_host_config) == (
        {"nvidia": "/usr/local/nvidia"},
        {"volume_driver": "nvidia"},
        {"devices": ["/d"]},
    )


async def test_without_docker_the_configured_profiles_are_offered(docker):
    def down():
        raise OSError("no daemon")

    docker.module.from_env = down
    assert await names(spawner()) == ["Here"]


async def test_without_the_package_the_configured_profiles_are_offered(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    assert await names(spawner()) == ["Here"]
