from __future__ import annotations

import asyncio

import pytest
from jupyterhub.spawner import LocalProcessSpawner
from tornado.web import HTTPError
from traitlets import Integer, Unicode

from tests.spawners.conftest import FakeSpawner, cluster  # noqa: F401
from tests.spawners.site import make_spawner, restored
from tests.spawners.test_life import until
from wrapspawner import ProfilesSpawner, WrapSpawner


class Site(FakeSpawner):
    """The spawner in the profiles of these tests."""

    req_note = Unicode().tag(config=True)
    poll_interval = Integer(1)


PROFILES = [
    ("Small <1>", "small", Site, {"req_memory": "1G"}),
    ("Large", "large", Site, {"req_memory": "9G", "start_timeout": 77, "req_options": ["a"][0]}),
    ("Here", "here", LocalProcessSpawner, {}),
]


def profiles(config=None, **options):
    config = {"ProfilesSpawner": {"profiles": PROFILES}, **(config or {})}
    return make_spawner(ProfilesSpawner, config, user_options=options)


async def begin(spawner):
    task = asyncio.ensure_future(spawner.start())
    await until(lambda: spawner.child_spawner.job_id or task.done())
    return task


@pytest.mark.parametrize(("options", "memory"), [({}, "1G"), ({"profile": "large"}, "9G")])
def test_the_chosen_profile_makes_the_child(options, memory):
    child = profiles(**options).construct_child()
    assert (type(child), child.req_memory) == (Site, memory)


def test_the_childs_own_configuration_rules_over_the_defaults_of_the_wrapper():
    own = {"default_url": "/lab", "environment": {"SITE": "1"}, "start_timeout": 777}
    spawner = profiles({"Site": own})
    child = spawner.construct_child()
    assert {name: getattr(child, name) for name in own} == own
    assert child.ip == "0.0.0.0"


def test_what_is_set_on_the_wrapper_itself_goes_to_the_child():
    config = {"ProfilesSpawner": {"profiles": PROFILES, "ip": "10.0.0.1"}, "Site": {"ip": "::"}}
    assert make_spawner(ProfilesSpawner, config).construct_child().ip == "10.0.0.1"


def test_the_hub_waits_as_long_as_the_child_needs():
    spawner = profiles(profile="large")
    spawner.construct_child()
    assert spawner.start_timeout == 77
    other = profiles(profile="small")
    child = other.construct_child()
    # In the queue a job may wait for any time; JupyterHub wants a number.
    assert (other.start_timeout, child.start_timeout) == (365 * 86400, 300)


async def test_the_hub_waits_for_the_queue_and_the_start_of_the_child():
    config = {"ProfilesSpawner": {"profiles": PROFILES}, "BatchSpawnerBase": {"queue_timeout": 60}}
    spawner = make_spawner(ProfilesSpawner, config, {"profile": "large"})
    child = spawner.construct_child()
    assert (spawner.start_timeout, child.start_timeout) == (60 + 77 + 300, 77)
    spawner.clear_state()
    spawner.user_options = {"profile": "small"}
    child = spawner.construct_child()
    assert (spawner.start_timeout, child.start_timeout) == (660, 300)
    spawner.start_timeout = 100
    starting = spawner.start()
    assert (spawner.start_timeout, child.start_timeout) == (460, 100)
    starting.cancel()


def test_what_the_hub_sets_later_reaches_the_child():
    spawner = profiles()
    child = spawner.construct_child()
    spawner.cert_paths = {"keyfile": "k", "certfile": "c", "cafile": "a"}
    assert child.cert_paths == spawner.cert_paths


def test_the_administrators_profiles_are_never_changed():
    spawner = profiles()
    spawner.construct_child()
    spawner.child_config["req_memory"] = "changed"
    assert PROFILES[0][3] == {"req_memory": "1G"}


def test_the_childs_configuration_survives_the_first_server():
    config = {"WrapSpawner": {"child_class": Site, "child_config": {"req_note": "kept"}}}
    spawner = make_spawner(WrapSpawner, config)
    for _ in range(2):
        spawner.clear_state()
        assert spawner.construct_child().req_note == "kept"


@pytest.mark.parametrize("key", ["nowhere", "", ["small"]])
def test_an_unknown_profile_is_refused_and_starts_nothing(key):
    spawner = profiles(profile=key)
    with pytest.raises(HTTPError, match="there is no profile"):
        spawner.start()
    assert spawner.child_spawner is None


def test_the_form_offers_the_profiles_and_escapes_their_names():
    spawner = profiles()
    assert '<option value="small" selected>Small &lt;1&gt;</option>' in spawner.options_form
    assert '<option value="large" >Large</option>' in spawner.options_form
    assert spawner.options_from_form({"profile": ["large"]}) == {"profile": "large"}
    assert spawner.options_from_form({}) == {"profile": "small"}
    with pytest.raises(HTTPError, match="there is no profile 'nowhere'"):
        spawner.options_from_form({"profile": ["nowhere"]})


def test_two_profiles_with_one_key_are_refused():
    with pytest.raises(ValueError, match="more than one has the key 'small'"):
        make_spawner(ProfilesSpawner).profiles = [PROFILES[0], PROFILES[0]]


async def test_a_server_lives_through_the_wrapper(cluster):  # noqa: F811
    spawner = profiles({"Site": {"startup_poll_interval": 0.01}})
    assert await spawner.poll() == 1
    task = await begin(spawner)
    cluster.run("1")
    spawner.child_spawner.receive_report(4321)
    assert await asyncio.wait_for(task, 5) == ("node1", 4321)
    assert await spawner.poll() is None
    # As JupyterHub does, which knows the outer one only.
    spawner._stop_pending = spawner.child_spawner._stop_pending = True
    await spawner.stop()
    assert "1" in cluster.ended
    spawner.clear_state()
    assert (spawner.get_state(), spawner.child_spawner) == ({}, None)


async def test_a_restarted_hub_makes_the_child_as_it_was(cluster):  # noqa: F811
    spawner = profiles(profile="large")
    task = await begin(spawner)
    spawner.orm_spawner.state = spawner.get_state()
    changed = [("Large", "large", Site, {"req_memory": "changed"}), PROFILES[0]]
    again = restored(
        ProfilesSpawner, spawner.orm_spawner, {"ProfilesSpawner": {"profiles": changed}}
    )
    assert (again.child_spawner.req_memory, again.child_spawner.job_id) == ("9G", "1")
    assert await again.poll() is None
    again.clear_state()
    again.user_options = {"profile": "large"}
    assert again.construct_child().req_memory == "changed"
    task.cancel()


async def test_the_progress_is_the_childs(cluster):  # noqa: F811
    spawner = profiles()
    events = spawner.progress()
    await spawner.take_options({})
    assert (await events.__anext__())["message"] == "Submitting the job to Fake"
    await events.aclose()
