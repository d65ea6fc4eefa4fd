"""Options of a site's own form: its template reads them, and they replace nothing else."""

from __future__ import annotations

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traitlets import TraitError, Unicode

import batchspawner
from batchspawner import BatchSpawnerBase, SlurmSpawner
from batchspawner.errors import OptionsError
from batchspawner.schedulers import scheduler_names
from batchspawner.spawners.options.declarations import field_of
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.templating import packaged_variables
from tests.spawners.options.test_hostile_options import VALUES
from tests.spawners.site import make_spawner

FORM = "<input name=queue>"
ADMINS = ["account", "reservation", "mail_user", "options", "prologue", "epilogue", "srun"]
RESERVED = [
    "cmd",
    "path",
    "keepvars",
    "keepvars_extra",
    "username",
    "homedir",
    "environment_file",
]


class Site(SlurmSpawner):
    """A site with a template and variables of its own."""

    req_colour = Unicode("red").tag(config=True)


def chosen(options, **traits) -> dict:
    spawner = make_spawner(Site, user_options=options, **traits)
    return spawner.chosen_variables()


def refused(options, **traits) -> str:
    with pytest.raises(OptionsRefused) as error:
        chosen(options, **traits)
    assert error.value.status_code == 400
    return str(error.value)


@pytest.mark.parametrize("script", ["{cmd} {image} {queue}", "{{ cmd }} {{ image }} {{ queue }}"])
def test_a_template_gets_what_only_a_user_can_have_chosen(script):
    assert chosen({"image": "a", "profile": "b"}, batch_script=script) == {"image": "a"}


def test_a_form_of_the_site_opens_how_large_the_job_is():
    options = {"queue": "night", "nprocs": 4, "colour": "blue"}
    script = "{queue} {nprocs} {colour} {cmd}"
    assert chosen(options, batch_script=script, options_form=FORM) == options
    assert chosen({"queue": "night"}, options_form=FORM) == {"queue": "night"}


@pytest.mark.parametrize("name", ["queue", "nprocs", "colour", "log", "job_name"])
def test_without_a_form_a_request_replaces_nothing(name):
    script = "" if name in ("log", "job_name") else "{queue} {nprocs} {colour} {cmd}"
    if name in ("log", "job_name"):
        assert "open_options" in refused({name: "evil"}, options_form=FORM)
    assert f"c.BatchSpawnerBase.open_options = [{name!r}]" in refused(
        {name: "evil"}, batch_script=script
    )


@pytest.mark.parametrize("name", ADMINS)
def test_what_costs_or_runs_is_opened_by_its_name_only(name):
    options, script = {name: "evil"}, f"{{{name}}} {{cmd}}"
    assert refused(options, batch_script=script, options_form=FORM) == (
        f"{name}: 'evil' is not allowed; it is not for users to choose here; an administrator can "
        f"open it: c.BatchSpawnerBase.open_options = [{name!r}]"
    )
    assert chosen(options, batch_script=script, open_options=[name]) == options


@pytest.mark.parametrize("name", RESERVED)
def test_what_runs_and_as_whom_is_never_the_users_choice(name):
    traits = {"batch_script": f"{{{name}}} {{cmd}}", "options_form": FORM}
    assert refused({name: "evil"}, **traits) == (
        f"{name}: 'evil' is not allowed; it is not for users to choose here"
    )
    with pytest.raises(TraitError, match=f"open_options cannot have {name}: users never"):
        chosen({}, open_options=[name])
    with pytest.raises(ValueError, match=f"an option cannot be called '{name}'"):
        field_of({"name": name})


@pytest.mark.parametrize("value", ["", None, "physics"])
def test_a_choice_that_a_hook_of_the_site_has_taken_up_is_no_replacement(value):
    traits = {"batch_script": "{account} {cmd}", "options_form": FORM}
    assert chosen({"account": value}, req_account="physics", **traits) == {}


def test_options_that_the_template_does_not_read_are_the_sites_own_affair():
    options = {"account": "x", "homedir": "/", "free text": "a; b\n"}
    assert chosen(options, batch_script="{queue} {cmd}", options_form=FORM) == {}


@pytest.mark.parametrize(
    ("script", "name"),
    [("{n.real}", "n"), ("{n[0]}", "n"), ("{nprocs:>{n}}", "n"), ("{% if n %}{% endif %}", "n")],
)
def test_a_name_is_found_wherever_a_template_may_have_it(script, name):
    assert chosen({name: 4}, batch_script=script) == {name: 4}


def test_a_template_that_is_an_object_may_read_everything():
    class Old(SlurmSpawner):
        batch_script = jinja2.Template("{{ cmd }} {{ image }}")

    spawner = make_spawner(Old, user_options={"image": "a", "account": "x"})
    with pytest.raises(OptionsRefused, match="account"):
        spawner.chosen_variables()
    spawner.user_options = {"image": "a"}
    assert spawner.chosen_variables() == {"image": "a"}


HOSTILE = [
    "x\n#SBATCH --uid=0",
    "x\r",
    "x\0",
    "x\u2028y",
    "x\x1b[31m",
    "'; id #",
    '" | id',
    "$(id)",
    "`id`",
    "${HOME}",
    "{{ 7 }}",
    "<a>",
    "--uid=0",
    "a --uid=0",
    "a\t-x",
    "a\\",
    "a && b",
    "~",
    "*",
    "#",
    ["a", "$(id)"],
    {"a": "$(id)"},
    {"$(id)": "a"},
    [["a", {"b": "\n"}]],
]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_a_value_that_would_be_more_than_a_value_is_refused_unless_the_site_opts_out(value):
    assert "image: " in refused({"image": value}, batch_script="{image}")
    taken = chosen({"image": value}, batch_script="{image}", trust_user_options=True)
    assert taken == {"image": value}


OLD = ["4G", "1d 12h", "gpu:a100:2", "n[1-3],n7", "Größe", "a=b", 3, 0.5, True, ["a"], {}]


@pytest.mark.parametrize("value", OLD, ids=repr)
def test_values_of_old_forms_pass(value):
    assert chosen({"image": value}, batch_script="{image}") == {"image": value}


def test_whatever_is_sent_a_script_has_the_same_lines_and_directives():
    script = "#SBATCH -p {queue} {account}\nrun {image} {cmd}\n{prologue}"
    spawner = make_spawner(Site, batch_script=script, options_form=FORM)
    names = st.sampled_from(["image", "queue", *ADMINS, *RESERVED])
    outcomes = set()

    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.dictionaries(names, VALUES, max_size=2))
    def holds(options):
        spawner.user_options = options
        try:
            variables = spawner.chosen_variables()
        except OptionsRefused:
            outcomes.add("refused")
            return
        outcomes.update(variables)
        for text in (one for one in variables.values() if isinstance(one, str)):
            assert text.isprintable()
            assert not set(text) & set(";&|<>`$(){}*?!#~\"'\\")
            assert not any(word.startswith("-") for word in text.split())

    holds()
    assert outcomes == {"refused", "image", "queue"}


BY_SCHEDULER = {
    cls.scheduler_name: cls
    for name in batchspawner.__all__
    if isinstance(cls := getattr(batchspawner, name), type)
    and issubclass(cls, BatchSpawnerBase)
    and cls.scheduler_name
}


def test_each_scheduler_has_a_spawner_here():
    assert BY_SCHEDULER.keys() == set(scheduler_names())


@pytest.mark.parametrize("scheduler", sorted(BY_SCHEDULER))
@pytest.mark.parametrize("value", ["7", 7, "x", ["7"], {"a": "7"}])
async def test_without_a_form_no_variable_of_any_packaged_template_is_open(scheduler, value):
    names = packaged_variables(scheduler)
    assert {"cmd", "homedir", "options"} <= names
    for name in sorted(names):
        spawner = make_spawner(BY_SCHEDULER[scheduler], user_options={name: value})
        with pytest.raises(OptionsRefused, match=rf"{name}: .* is not allowed"):
            spawner.chosen_variables()


@pytest.mark.parametrize("form", ["", FORM])
@pytest.mark.parametrize("name", ["nodes", "tasks", "log", "job_name"])
def test_what_only_the_packaged_template_knows_is_opened_by_its_name_only(name, form, tmp_path):
    assert f"open_options = [{name!r}]" in refused({name: "2"}, options_form=form)
    assert chosen({name: "2"}, options_form=form, open_options=[name]) == {name: "2"}
    # A site's template has what it is made of.
    (tmp_path / "slurm.j2").write_text('{% extends "packaged/slurm.j2" %}{% set x = image %}')
    site = {"template_paths": [str(tmp_path)], "options_form": form}
    assert f"open_options = [{name!r}]" in refused({name: "2"}, **site)
    assert chosen({"image": "a"}, **site) == {"image": "a"}
    assert chosen({name: "2"}, batch_script=f"{{{name}}} {{cmd}}", options_form=form) == {name: "2"}


@pytest.mark.parametrize("scheduler", ["slurm", "pbspro", "torque", "oar", "lsf"])
@pytest.mark.parametrize("value", ["x", "0", "-1", "1e9", "2.5", "9" * 30, "\uff12"])
async def test_a_number_of_nodes_that_is_none_says_so(scheduler, value):
    options = {"nodes": value, "tasks": "4"}
    opened = {"open_options": list(options), "trust_user_options": True}
    spawner = make_spawner(BY_SCHEDULER[scheduler], user_options=options, **opened)
    with pytest.raises(OptionsError, match=r"nodes: .* is not allowed; give a whole number from 1"):
        await spawner._get_batch_script(**spawner.script_variables())


def nested(depth: int, inner: object, make) -> object:
    for _ in range(depth):
        inner = make(inner)
    return inner


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("make", [lambda one: [one], lambda one: {"a": one}])
def test_how_deep_a_value_is_has_a_limit(make, trust):
    traits = {"batch_script": "{image} {nprocs} {cmd}", "trust_user_options": trust}
    assert chosen({"image": nested(8, "x", make)}, **traits) == {"image": nested(8, "x", make)}
    for name in ("image", "nprocs"):
        for depth in (9, 900, 100_000):
            assert "at most 8 lists and objects may be inside each other" in refused(
                {name: nested(depth, "x", make)}, **traits
            )


@pytest.mark.parametrize(
    "value",
    ["x" * 70_000, ["x" * 40_000] * 2, [""] * 70_000, {"x" * 70_000: 1}, 1 << 100_000],
    ids=["text", "texts", "number", "key", "integer"],
)
@pytest.mark.parametrize("trust", [False, True])
def test_how_large_a_value_is_has_a_limit(value, trust):
    traits = {"batch_script": "{image} {cmd}", "trust_user_options": trust}
    assert "it may have 65536 characters" in refused({"image": value}, **traits)
