"""Profiles as dictionaries: who may use them, what can be chosen in them, and its effects."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from types import SimpleNamespace

import pytest
from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import Integer, Unicode
from traitlets.config import Config

from batchspawner import SlurmSpawner
from batchspawner.spawners.options.field_kinds import Integer as IntegerOption
from batchspawner.spawners.options.field_kinds import Text
from tests.spawners.conftest import FakeSpawner, cluster  # noqa: F401
from tests.spawners.site import apply_options, make_spawner, restored
from tests.wrapspawner.test_wrapspawner import begin
from wrapspawner import ProfilesSpawner
from wrapspawner.declarations import profile_of
from wrapspawner.start_check import log_wrong_profiles


class Site(FakeSpawner):
    """The spawner in the profiles of these tests."""

    poll_interval = Integer(1)


class FormSite(Site):
    """A spawner whose site has made its own form."""

    options_form = Unicode("<input name='colour'>").tag(config=True)

    def options_from_form(self, formdata):
        return {"colour": formdata["colour"][0]}


SMALL = {
    "display_name": "Small <1>",
    "slug": "small",
    "spawner": Site,
    "override": {"req_memory": "1G"},
    "description": "For <most>.",
}
LARGE = {
    "display_name": "Large",
    "spawner": Site,
    "override": {"req_memory": "9G", "start_timeout": 77},
    "options": [IntegerOption("nprocs", max=8, default=2), {"name": "account"}],
    "profile_options": {
        "software": {
            "display_name": "Software",
            "choices": {
                "old": {"environment": {"modules": ["python/3.9"]}},
                "new": {
                    "display_name": "New & shiny",
                    "default": True,
                    "environment": {"conda": "/opt/new"},
                    "override": {"req_account": "new"},
                    "limits": {"nprocs": {"max": 4}},
                },
            },
            "unlisted_choice": {
                "enabled": True,
                "validation_regex": "/home/[a-z/]+",
                "validation_message": "give a folder in /home",
                "environment": {"venv": "{value}"},
                "override": {"req_account": "own-{value}"},
            },
        }
    },
}
HERE = ("Here", "here", LocalProcessSpawner, {})


def profiles(*listed, config=None, **options):
    config = {"ProfilesSpawner": {"profiles": list(listed)}, **(config or {})}
    return make_spawner(ProfilesSpawner, config, user_options=options)


def form(**fields):
    return {name.replace("__", "--"): [value] for name, value in fields.items()}


async def read(spawner, fields):
    return await maybe_future(spawner.options_from_form(fields))


async def take(spawner, **options):
    await apply_options(spawner, options)
    return spawner.child_spawner


async def test_the_form_shows_the_profiles_with_their_options_and_escapes_them():
    html = await profiles(SMALL, LARGE, HERE).get_options_form()
    assert "<strong>Small &lt;1&gt;</strong>" in html
    assert "For &lt;most&gt;." in html
    assert 'name="large--nprocs" value="2"' in html
    assert re.search(r'<option value="new"[^>]*\s+selected>New &amp; shiny</option>', html)
    assert re.findall(r'name="profile" id="[^"]*"\s+value="(\w+)" required (\w*)', html) == [
        ("small", "checked"),
        ("large", ""),
        ("here", ""),
    ]


async def test_the_default_profile_is_the_first_choice():
    spawner = profiles(SMALL, {**LARGE, "default": True})
    assert (await read(spawner, {}))["profile"] == "large"
    assert (await take(spawner)).req_memory == "9G"


async def test_the_options_of_a_profile_come_from_a_form_with_its_key_before_them():
    spawner = profiles(SMALL, LARGE)
    fields = form(profile="large", large__nprocs="3", large__software="old", small__x="1")
    assert await read(spawner, fields) == {"profile": "large", "nprocs": "3", "software": "old"}


async def test_the_options_of_a_profile_come_from_an_address_by_their_names_alone():
    spawner = profiles(SMALL, LARGE)
    options = {"profile": "large", "nprocs": "3", "software": "/home/ada/venv"}
    assert await maybe_future(spawner.options_from_query(form(**options))) == options


async def test_a_chosen_option_is_a_variable_of_the_script():
    child = await take(profiles(SMALL, LARGE), profile="large", nprocs=3, account="phys")
    variables = child.script_variables()
    assert [variables[name] for name in ("nprocs", "account", "memory", "profile")] == [
        "3",
        "phys",
        "9G",
        "large",
    ]


@pytest.mark.parametrize(
    ("software", "account", "prologue"),
    [
        ("old", "", "module load python/3.9"),
        ("new", "new", "export CONDA_PREFIX=/opt/new"),
        ("/home/ada", "own-/home/ada", ". /home/ada/bin/activate"),
    ],
)
async def test_a_choice_changes_traits_and_environment(software, account, prologue):
    child = await take(profiles(SMALL, LARGE), profile="large", software=software)
    assert child.req_account == account
    assert prologue in child.req_prologue.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "huge"}, "there is no profile 'huge'; choose one of small, large"),
        ({"profile": ["small"]}, "there is no profile 'list'; choose one of small, large"),
        (
            {"profile": "small", "memory": "99G"},
            "options: 'memory' is not allowed; there are no options",
        ),
        (
            {"profile": "large", "nprocs": "9"},
            "nprocs: '9' is not allowed; choose from 0 to 4 with software new",
        ),
        (
            {"profile": "large", "software": "/root"},
            "software: '/root' is not allowed; choose one of old, new, or: give a folder in /home",
        ),
        (
            {"profile": "large", "software": "/home/a\n"},
            "software: '/home/a\\n' is not allowed; it must be one line without control characters",
        ),
    ],
)
async def test_form_address_and_rest_are_refused_with_the_same_words(options, message):
    spawner = profiles(SMALL, LARGE)
    forms = [lambda: apply_options(spawner, options)]
    if isinstance(options["profile"], str):
        key = options["profile"]
        prefixed = {
            (f"{key}--{name}" if name != "profile" else name): [value]
            for name, value in options.items()
        }
        forms += [lambda: read(spawner, form(**options)), lambda: read(spawner, prefixed)]
    for refuse in forms:
        with pytest.raises(HTTPError) as refused:
            await maybe_future(refuse())
        assert refused.value.status_code == 400
        assert refused.value.jupyterhub_message == message
    assert spawner.child_spawner is None


@pytest.mark.parametrize(
    ("restriction", "allowed"),
    [
        ({}, True),
        ({"groups": ["physics"]}, True),
        ({"groups": ["chemistry"]}, False),
        ({"groups": []}, False),
        ({"groups": ["chemistry"], "users": ["ada"]}, True),
        ({"users": ["ben"]}, False),
        ({"allowed": lambda spawner: spawner.user.name == "ada"}, True),
        ({"allowed": lambda spawner: False}, False),
        ({"groups": ["physics"], "allowed": lambda spawner: False}, False),
    ],
)
async def test_who_may_not_use_a_profile_neither_sees_it_nor_gets_it(restriction, allowed):
    spawner = profiles(SMALL, {**LARGE, **restriction})
    spawner.user = SimpleNamespace(
        **{**vars(spawner.user), "name": "ada", "groups": [SimpleNamespace(name="physics")]}
    )
    assert ("Large" in await spawner.get_options_form()) is allowed
    for ask in (
        lambda: read(spawner, form(profile="large")),
        lambda: maybe_future(spawner.options_from_query(form(profile="large"))),
        lambda: take(spawner, profile="large"),
    ):
        if allowed:
            await ask()
            continue
        with pytest.raises(HTTPError, match="there is no profile 'large'; choose one of small"):
            await ask()


async def test_an_async_function_may_say_who_may_use_a_profile():
    async def nobody(spawner):
        await asyncio.sleep(0)
        return False

    spawner = profiles({**SMALL, "allowed": nobody})
    with pytest.raises(HTTPError, match="No profile is open to") as refused:
        await take(spawner)
    assert refused.value.status_code == 403


async def test_profiles_may_come_from_an_async_function_of_the_spawner():
    async def listed(spawner):
        return [{**SMALL, "display_name": f"For {spawner.user.name}"}]

    spawner = make_spawner(ProfilesSpawner, {"ProfilesSpawner": {"profiles": listed}})
    assert f"For {spawner.user.name}" in await spawner.get_options_form()
    assert (await take(spawner, profile="small")).req_memory == "1G"


async def test_an_older_hub_is_asked_before_the_start():
    spawner = profiles(SMALL, LARGE, profile="large", nprocs="99")
    with pytest.raises(HTTPError, match="nprocs: '99' is not allowed"):
        await spawner.run_pre_spawn_hook()
    spawner.user_options = {"profile": "large"}
    await spawner.run_pre_spawn_hook()
    assert (spawner.child_spawner.req_memory, spawner.start_timeout) == ("9G", 77)


async def test_the_last_choice_is_in_the_form():
    spawner = profiles(SMALL, LARGE, profile="large", nprocs="3", software="/home/ada")
    html = await spawner.get_options_form()
    assert re.search(r'value="large" required checked', html)
    assert 'name="large--nprocs" value="3"' in html
    assert re.search(r'name="large--software--other"\s+value="/home/ada"', html)


async def test_a_form_that_was_refused_is_shown_again_as_it_was():
    spawner = profiles(SMALL, LARGE)
    with pytest.raises(HTTPError):
        await read(spawner, form(profile="large", large__nprocs="3", large__account="a b"))
    html = await spawner.get_options_form()
    assert re.search(r'value="large" required checked', html)
    assert 'name="large--nprocs" value="3"' in html


async def test_the_resource_form_of_a_spawner_is_part_of_its_profile():
    queues = {"debug": {"nprocs": 2}, "long": {"nprocs": 64}}
    override = {
        "resource_form": True,
        "queue_limits": queues,
        "req_memory": "2G",
        "resource_fields": ["queue", "nprocs", "memory"],
    }
    spawner = profiles({**SMALL, "override": override})
    html = await spawner.get_options_form()
    assert 'name="small--queue"' in html
    # What the profile sets is not the user's to choose.
    assert 'name="small--memory"' not in html
    with pytest.raises(HTTPError, match="choose from 1 to 2 with queue debug"):
        await take(spawner, profile="small", queue="debug", nprocs=3)
    with pytest.raises(HTTPError, match="options: 'memory' is not allowed"):
        await take(spawner, profile="small", memory="3G")
    child = await take(spawner, profile="small", queue="long", nprocs=64)
    variables = child.script_variables()
    assert [variables[name] for name in ("queue", "nprocs", "memory")] == ["long", "64", "2G"]


async def test_a_form_of_the_sites_own_works_inside_a_tuples_profile():
    spawner = profiles(("Own", "own", FormSite, {}), HERE)
    assert "<input name='colour'>" in await spawner.get_options_form()
    options = await read(spawner, form(profile="own", colour="red"))
    assert options == {"profile": "own", "colour": "red"}
    child = await take(spawner, **options)
    assert (child.user_options, child.script_variables()["colour"]) == (options, "red")


async def test_a_subclass_that_reads_the_form_itself_adds_options_as_ever():
    class Mine(ProfilesSpawner):
        def options_from_form(self, formdata):
            return {**super().options_from_form(formdata), "project": formdata["project"][0]}

    config = {"Mine": {"profiles": [("Small", "small", Site, {})]}}
    spawner = make_spawner(Mine, config)
    options = spawner.options_from_form(form(project="p1"))
    assert options == {"profile": "small", "project": "p1"}
    child = await take(spawner, **options)
    assert child.script_variables()["project"] == "p1"


async def test_what_a_subclass_reads_from_its_form_may_replace_what_a_form_may():
    class Mine(ProfilesSpawner):
        def options_from_form(self, formdata):
            return {"profile": "small", "nprocs": formdata["n"][0], "account": "x"}

    script = {"batch_script": "{nprocs} {account} {cmd}"}
    spawner = make_spawner(Mine, {"Mine": {"profiles": [("Small", "small", Site, script)]}})
    child = await take(spawner, **spawner.options_from_form(form(n="3")))
    with pytest.raises(HTTPError, match="account: 'x' is not allowed"):
        child.script_variables()
    child.user_options = {"nprocs": "3"}
    assert child.script_variables()["nprocs"] == "3"


async def test_a_profiles_own_option_is_open_beside_a_form_of_the_site():
    override = {"batch_script": "{account} {colour} {cmd}"}
    own = {
        "display_name": "Own",
        "spawner": FormSite,
        "override": override,
        "options": [{"name": "account"}],
    }
    child = await take(profiles(own), profile="own", colour="red", account="physics")
    variables = child.script_variables()
    assert (variables["colour"], variables["account"]) == ("red", "physics")


async def test_an_option_of_a_spawner_without_scripts_is_its_trait():
    local = {
        "display_name": "Here",
        "spawner": LocalProcessSpawner,
        "options": [Text("notebook_dir", pattern="/[a-z]+"), IntegerOption("http_timeout")],
        "environment": {"default_url": "/lab"},
    }
    child = await take(profiles(local), notebook_dir="/data", http_timeout="77")
    assert (child.notebook_dir, child.http_timeout, child.default_url) == ("/data", 77, "/lab")


async def test_the_environment_comes_before_the_sites_own_prologue_and_the_server():
    profile = {
        **SMALL,
        "environment": {
            "modules": ["gcc", "python/3.11"],
            "venv": "/opt/my venv",
            "variables": {"A": "b c"},
            "image": "/images/lab.sif",
            "default_url": "/lab",
        },
    }
    child = await take(profiles(profile, config={"Site": {"req_prologue": "echo mine"}}))
    assert child.req_prologue.splitlines() == [
        "case $- in *u*) strict=-u ;; *) strict=+u ;; esac",
        "set +u",
        "module load gcc python/3.11",
        ". '/opt/my venv'/bin/activate",
        "export A='b c'",
        'set "$strict"',
        "echo mine",
    ]
    assert child.cmd_formatted_for_batch().startswith(
        "apptainer exec /images/lab.sif batchspawner-singleuser jupyterhub-singleuser"
    )
    assert child.default_url == "/lab"


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"slug": "a", "colour": 1, "spawner": Site}, "has 'colour'; known are allowed"),
        ({"spawner": Site}, "needs a display_name"),
        ({"display_name": "A"}, "the profile 'A' names no spawner"),
        ({"display_name": "A", "spawner": int}, "is no spawner class"),
        ({"display_name": "A", "spawner": "no.where.Spawner"}, "cannot be imported: No module"),
        ({"display_name": "A", "spawner": "slrum"}, "there is no spawner 'slrum'; write an import"),
        ({"display_name": "A", "slug": "a b", "spawner": Site}, "the slug 'a b'"),
        ({"display_name": "A", "spawner": Site, "groups": "physics"}, "groups must be a list"),
        ({"display_name": "A", "spawner": Site, "allowed": True}, "must be a function"),
        (
            {"display_name": "A", "spawner": Site, "override": {"req_colour": 1}},
            "Site has no trait 'req_colour'",
        ),
        (
            {"display_name": "A", "spawner": LocalProcessSpawner, "options": [Text("nprocs")]},
            "LocalProcessSpawner has no trait 'nprocs'",
        ),
        (
            {"display_name": "A", "spawner": LocalProcessSpawner, "environment": {"venv": "/a"}},
            "LocalProcessSpawner can do nothing with 'venv'",
        ),
        (
            {"display_name": "A", "spawner": Site, "environment": {"moduls": "a"}},
            "the environment has 'moduls'",
        ),
        (
            {
                "display_name": "A",
                "spawner": Site,
                "profile_options": {"x": {"choices": {"a": {"overide": {}}}}},
            },
            "option 'x', choice 'a' has 'overide'",
        ),
        (
            {
                "display_name": "A",
                "spawner": Site,
                "profile_options": {"environment_file": {"choices": {"a": {}}}},
            },
            "an option cannot be called 'environment_file'",
        ),
        (("a", "b"), "a profile as a tuple is"),
        ("a", "a profile is a dictionary or a tuple"),
    ],
)
def test_a_wrong_profile_is_an_error_of_the_configuration_that_names_it(profile, message):
    with pytest.raises(Exception, match=re.escape(message)):
        make_spawner(ProfilesSpawner).profiles = [profile]


async def test_a_server_is_found_again_though_its_profile_came_from_a_function(cluster):  # noqa: F811
    listed = [lambda spawner: [SMALL]]
    config = {"ProfilesSpawner": {"profiles": lambda spawner: listed[0](spawner)}}
    spawner = make_spawner(ProfilesSpawner, config)
    await spawner.run_pre_spawn_hook()
    task = await begin(spawner)
    spawner.orm_spawner.state = json.loads(json.dumps(spawner.get_state()))
    listed[0] = lambda spawner: 1 / 0
    again = restored(ProfilesSpawner, spawner.orm_spawner, config)
    assert type(again.child_spawner) is Site
    assert (again.child_spawner.req_memory, again.child_spawner.job_id) == ("1G", "1")
    assert await again.poll() is None
    task.cancel()


async def test_what_no_database_can_hold_does_not_stop_a_server(cluster):  # noqa: F811
    profile = {**SMALL, "override": {"req_memory": "1G", "pre_spawn_hook": print}}
    spawner = profiles(profile)
    await spawner.run_pre_spawn_hook()
    task = await begin(spawner)
    state = json.loads(json.dumps(spawner.get_state()))
    assert state["child_conf"] == {"req_memory": "1G"}
    task.cancel()


async def test_the_configuration_of_the_administrator_is_never_changed():
    config = Config({"ProfilesSpawner": Config({"profiles": [LARGE]})})
    before = repr(LARGE)
    spawner = make_spawner(ProfilesSpawner, config)
    await take(spawner, software="/home/ada")
    assert repr(LARGE) == before


def test_a_profile_names_its_spawner_as_the_hub_does():
    assert profile_of({"display_name": "A", "spawner": "Slurm"}).spawner is SlurmSpawner


@pytest.mark.parametrize(
    ("profiles", "logged"),
    [
        (
            [{"display_name": "A", "spawner": "no.such.Spawner"}],
            ["c.ProfilesSpawner.profiles is wrong, so no server can start: the profile 'A': "],
        ),
        ([SMALL], []),
        (lambda spawner: 1 / 0, []),
    ],
)
def test_a_hub_that_starts_logs_what_is_wrong_with_its_profiles(profiles, logged, caplog):
    class Mine(ProfilesSpawner):
        pass

    app = SimpleNamespace(
        spawner_class=Mine,
        config=Config({"ProfilesSpawner": Config({"profiles": profiles})}),
        log=logging.getLogger("hub"),
    )
    log_wrong_profiles(app)
    app.spawner_class = SlurmSpawner
    log_wrong_profiles(app)
    said = [record.getMessage() for record in caplog.records]
    assert [line[: len(start)] for line, start in zip(said, logged)] == logged
    assert len(said) == len(logged)
