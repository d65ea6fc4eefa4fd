"""What a profile sets is not the user's to choose, by whatever way the options come."""

from __future__ import annotations

import json

import pytest
from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import Dict, Unicode

from batchspawner import SlurmSpawner
from batchspawner.spawners.options.site_form import FormOptions
from tests.spawners.site import apply_options, make_spawner
from wrapspawner import ProfilesSpawner

NAMES = ("nprocs", "partition", "runtime", "gres")


class FormSite(SlurmSpawner):
    """A spawner whose site has made its own form."""

    options_form = Unicode("<input name=nprocs><input name=partition><input name=runtime>").tag(
        config=True
    )

    def options_from_form(self, formdata):
        return {name: formdata[name][0] for name in NAMES if name in formdata}


class Queued(SlurmSpawner):
    """A spawner with a resource form and partitions."""

    batch_script = Unicode("{queue} {partition} {nprocs} {cmd}").tag(config=True)


SMALL = {
    "display_name": "Small",
    "spawner": FormSite,
    "override": {"req_nprocs": "1", "req_partition": "debug", "req_ngpus": "0"},
}


def profiles(*listed, options=None):
    config = {"ProfilesSpawner": {"profiles": list(listed)}}
    return make_spawner(ProfilesSpawner, config, user_options=options)


async def by_rest(spawner, options):
    await apply_options(spawner, options)


async def by_form(spawner, options):
    form = {name: [str(value)] for name, value in options.items()}
    await apply_options(spawner, await maybe_future(spawner.run_options_from_form(form)))


async def by_address(spawner, options):
    form = {name: [str(value)] for name, value in options.items()}
    await apply_options(spawner, await maybe_future(spawner.options_from_query(form)))


async def by_saved_options(spawner, options):
    spawner.user_options = json.loads(json.dumps(options))
    await spawner.run_pre_spawn_hook()


WAYS = [by_rest, by_form, by_address, by_saved_options]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("nprocs", "8"), ("nprocs", 8), ("partition", "normal"), ("gres", "gpu:8")],
)
async def test_what_a_profile_sets_is_refused_by_every_way(way, name, value):
    spawner = profiles(SMALL)
    with pytest.raises(HTTPError) as refused:
        await way(spawner, {"profile": "small", "runtime": "5:00:00", name: value})
    assert refused.value.status_code == 400
    assert str(refused.value) == f"{name}: {str(value)!r} is not allowed; the profile small sets it"
    assert spawner.child_spawner is None


@pytest.mark.parametrize(
    "value", [["1", "8"], {"n": "8"}, True, False, 1.5, [[1]], [""] * 2, "\uff11", " 1"]
)
async def test_no_spelling_of_another_value_passes(value):
    with pytest.raises(HTTPError, match=r"nprocs: .* is not allowed; the profile small sets it"):
        await by_rest(profiles(SMALL), {"profile": "small", "nprocs": value})


@pytest.mark.parametrize("value", [["1"], [1], 1, "1"])
async def test_the_profiles_own_value_stays_as_the_profile_has_it(value):
    spawner = profiles(SMALL)
    await by_rest(spawner, {"profile": "small", "nprocs": value})
    assert spawner.child_spawner.script_variables()["nprocs"] == "1"


@pytest.mark.parametrize("way", WAYS)
async def test_the_rest_of_a_sites_form_and_the_profiles_own_values_pass(way):
    spawner = profiles(SMALL)
    await way(spawner, {"profile": "small", "nprocs": 1, "partition": "", "runtime": "5:00:00"})
    variables = spawner.child_spawner.script_variables()
    assert [variables[name] for name in ("nprocs", "partition", "runtime")] in (
        [1, "debug", "5:00:00"],
        ["1", "debug", "5:00:00"],
    )


async def test_a_queue_does_not_replace_the_partition_that_a_profile_sets():
    spawner = profiles(SMALL)
    with pytest.raises(HTTPError, match="queue: 'normal' is not allowed; the profile small sets"):
        await by_rest(spawner, {"profile": "small", "queue": "normal"})


async def test_the_resource_form_does_not_ask_for_what_a_profile_or_its_choices_set():
    override = {
        "resource_form": True,
        "queue_limits": {"debug": {}, "normal": {}},
        "resource_fields": ["queue", "nprocs", "memory"],
        "req_partition": "debug",
    }
    choices = {"big": {"override": {"req_nprocs": "64"}}, "small": {"default": True}}
    spawner = profiles(
        {
            "display_name": "Sized",
            "spawner": Queued,
            "override": override,
            "profile_options": {"size": {"choices": choices}},
        }
    )
    html = await spawner.get_options_form()
    assert [name in html for name in ("sized--queue", "sized--nprocs", "sized--memory")] == [
        False,
        False,
        True,
    ]
    for name, value in (("queue", "normal"), ("nprocs", "2")):
        with pytest.raises(HTTPError, match=f"options: {name!r} is not allowed"):
            await by_rest(spawner, {"profile": "sized", "size": "big", name: value})
    await by_rest(spawner, {"profile": "sized", "size": "big"})
    variables = spawner.child_spawner.script_variables()
    assert (variables["partition"], variables["nprocs"]) == ("debug", "64")


async def test_the_effect_of_a_choice_is_as_fixed_as_the_profile():
    choices = {"big": {"override": {"req_nprocs": "64"}}, "small": {"default": True}}
    spawner = profiles(
        {
            "display_name": "S",
            "spawner": FormSite,
            "profile_options": {"size": {"choices": choices}},
        }
    )
    with pytest.raises(HTTPError, match="nprocs: '99' is not allowed; the profile s sets it"):
        await by_rest(spawner, {"profile": "s", "size": "big", "nprocs": "99"})
    await by_rest(spawner, {"profile": "s", "size": "small", "nprocs": "3"})
    assert spawner.child_spawner.script_variables()["nprocs"] == "3"


class Local(LocalProcessSpawner):
    """A spawner without jobs, with a form of the site's and a table that sets traits."""

    options_form = Unicode("<input name=folder>").tag(config=True)
    apply_user_options = Dict({"folder": "notebook_dir"})


@pytest.mark.parametrize("name", ["notebook_dir", "folder"])
async def test_a_trait_of_a_spawner_without_jobs_is_kept_too(name):
    spawner = profiles(
        {"display_name": "Here", "spawner": Local, "override": {"notebook_dir": "/a"}}
    )
    with pytest.raises(HTTPError, match=f"{name}: '/b' is not allowed; the profile here sets it"):
        await by_rest(spawner, {"profile": "here", name: "/b"})


class Paid(FormSite):
    """A site's form that asks for an account."""

    batch_script = Unicode("{account} {cmd}").tag(config=True)

    def options_from_form(self, formdata):
        return {"account": formdata["account"][0]}


async def test_in_a_profile_the_sites_form_opens_what_it_asks_for_and_an_address_does_not():
    form = {"profile": ["pay"], "account": ["m1"]}
    spawner = profiles({"display_name": "Pay", "spawner": Paid})
    options = await maybe_future(spawner.run_options_from_form(form))
    assert (options, type(options)) == ({"profile": "pay", "account": "m1"}, FormOptions)
    await apply_options(spawner, options)
    assert spawner.child_spawner.script_variables()["account"] == "m1"
    address = await maybe_future(spawner.options_from_query(form))
    assert type(address) is dict
    await apply_options(spawner, address)
    with pytest.raises(HTTPError, match="account: 'm1' is not allowed"):
        spawner.child_spawner.script_variables()


async def test_a_wrapper_of_the_site_that_reads_the_form_opens_what_it_returns():
    class Mine(ProfilesSpawner):
        def options_from_form(self, formdata):
            return {"profile": "small", "account": formdata["account"][0]}

    script = {"batch_script": "{account} {cmd}"}
    config = {"Mine": {"profiles": [("Small", "small", SlurmSpawner, script)]}}
    spawner = make_spawner(Mine, config)
    options = await maybe_future(spawner.run_options_from_form({"account": ["m1"]}))
    await apply_options(spawner, options)
    assert spawner.child_spawner.script_variables()["account"] == "m1"
    await apply_options(spawner, dict(options))
    with pytest.raises(HTTPError, match="account: 'm1' is not allowed"):
        spawner.child_spawner.script_variables()
