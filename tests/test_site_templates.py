"""A site's own templates: which one is used, and what a mistake in it says."""

from __future__ import annotations

import re

import pytest

from batchspawner import SlurmSpawner, templating
from batchspawner.errors import TemplateError
from batchspawner.schedulers.slurm import Slurm
from batchspawner.spawners.secrets.package import pack
from batchspawner.templating import (
    find_template,
    render_page,
    render_script,
    search_path,
    template_names,
    variables_of,
)
from tests.client.test_job_scripts import EVERYTHING
from tests.spawners.secrets.test_package import Files
from tests.spawners.site import make_spawner


@pytest.fixture(autouse=True)
def etc(tmp_path, monkeypatch):
    """A folder in the place of /etc/batchspawner/templates."""
    monkeypatch.setattr(templating, "SITE_FOLDER", str(tmp_path / "etc"))
    monkeypatch.delenv(templating.PATH_VARIABLE, raising=False)
    return tmp_path / "etc"


def put(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return str(folder)


def test_the_configuration_comes_before_the_environment_before_etc_before_ours(
    tmp_path, monkeypatch, etc
):
    monkeypatch.setenv(templating.PATH_VARIABLE, f"{tmp_path}/two:{tmp_path}/three")
    places = ["one", "two", "three", "etc"]
    for place in places:
        put(tmp_path / place, "slurm.j2", place)
    found = []
    for place in places:
        found.append(render_script("slurm.j2", EVERYTHING, search_path([f"{tmp_path}/one"])))
        (tmp_path / place / "slurm.j2").unlink()
    assert found == places
    assert render_script("slurm.j2", EVERYTHING, search_path()).startswith("#!/bin/bash\n#SBATCH")


def test_a_site_replaces_one_block_of_ours_and_keeps_the_rest(tmp_path):
    text = (
        '{% extends "packaged/slurm.j2" %}\n{% block prologue %}\nmodule load x\n{% endblock %}\n'
    )
    folder = put(tmp_path / "site", "slurm.j2", text)
    ours = render_script("slurm.j2", {**EVERYTHING, "prologue": ""}, ())
    theirs = render_script("slurm.j2", EVERYTHING, [folder])
    added = set(theirs.splitlines()) - set(ours.splitlines())
    assert (added, set(ours.splitlines()) - set(theirs.splitlines())) == ({"module load x"}, set())


def test_a_sites_base_is_that_of_every_scheduler(tmp_path):
    text = '{% extends "packaged/base.j2" %}\n{% block epilogue %}\necho site\n{% endblock %}\n'
    folder = put(tmp_path / "site", "base.j2", text)
    for name in ("slurm.j2", "pbspro.j2"):
        assert "\necho site\n" in render_script(name, EVERYTHING, [folder])


def test_a_template_may_be_for_one_front_end_only(tmp_path):
    folder = put(tmp_path / "site", "spawner/slurm.j2", "for spawners")
    assert render_script("slurm.j2", EVERYTHING, [folder]) == "for spawners"
    assert "#SBATCH" in render_script("slurm.j2", EVERYTHING, [folder], "kernel")
    assert find_template("slurm.j2", [folder], "spawner") == (
        f"{folder}/spawner/slurm.j2",
        "for spawners",
    )


def test_a_typo_is_told_with_the_variable_the_file_and_the_line(tmp_path):
    folder = put(tmp_path / "site", "slurm.j2", "#!/bin/sh\n\necho {{ memroy }}\n")
    with pytest.raises(TemplateError, match=re.escape(f"{folder}/slurm.j2:3: 'memroy' is undef")):
        render_script("slurm.j2", EVERYTHING, [folder])


def test_a_typo_in_a_block_is_told_with_the_file_of_the_block(tmp_path):
    text = '{% extends "packaged/slurm.j2" %}\n{% block prologue %}\n{{ oops }}\n{% endblock %}\n'
    folder = put(tmp_path / "site", "slurm.j2", text)
    with pytest.raises(TemplateError, match=re.escape(f"{folder}/slurm.j2:3: 'oops' is undefined")):
        render_script("slurm.j2", EVERYTHING, [folder])


def test_a_mistake_in_the_syntax_is_told_with_the_file_and_the_line(tmp_path):
    folder = put(tmp_path / "site", "slurm.j2", "\n{% if x %}\n")
    with pytest.raises(TemplateError, match=re.escape(f"{folder}/slurm.j2:2: Unexpected end")):
        render_script("slurm.j2", EVERYTHING, [folder])


@pytest.mark.parametrize("name", ["nowhere.j2", "../setup.py", "packaged/../setup.py"])
def test_a_template_that_does_not_exist_is_named(name):
    with pytest.raises(TemplateError, match=f"there is no template '{re.escape(name)}'"):
        find_template(name, [])


def test_a_template_cannot_reach_into_python(tmp_path):
    folder = put(tmp_path / "site", "slurm.j2", "{{ ''.__class__.__mro__ }}")
    with pytest.raises(TemplateError, match=r"slurm\.j2:1: access to attribute '__class__'"):
        render_script("slurm.j2", EVERYTHING, [folder])


def test_a_change_of_a_template_is_seen_at_once(tmp_path):
    folder = put(tmp_path / "site", "slurm.j2", "one")
    assert render_script("slurm.j2", EVERYTHING, [folder]) == "one"
    put(tmp_path / "site", "slurm.j2", "another")
    assert render_script("slurm.j2", EVERYTHING, [folder]) == "another"


def test_all_templates_are_listed_a_sites_own_too(tmp_path):
    folder = put(tmp_path / "site", "mine.j2", "")
    names = template_names([folder])
    assert {"mine.j2", "slurm.j2", "base.j2", "forms/profiles.html"} <= set(names)
    assert not [name for name in names if name.startswith("packaged/")]


def test_the_variables_of_a_template_are_also_those_of_what_it_extends():
    assert {"nprocs", "cmd", "prologue"} <= variables_of("slurm.j2", ())
    assert "memory" not in variables_of("local.j2", ())


async def test_a_spawner_uses_the_templates_of_its_configuration(tmp_path):
    folder = put(tmp_path / "site", "slurm.j2", "#SBATCH -c {{ nprocs }}\n{{ cmd }}\n")
    config = {"template_paths": [folder], "req_nprocs": "3", "resource_form": True}
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": config})
    script = await spawner._get_batch_script(**spawner.script_variables())
    assert script == "#SBATCH -c 3\nbatchspawner-singleuser jupyterhub-singleuser\n"
    assert spawner.script_names() == {"nprocs", "cmd"}


def test_a_site_replaces_a_block_of_a_form_and_values_stay_escaped(tmp_path):
    text = (
        '{% extends "packaged/forms/options.html" %}\n{% block intro %}{{ fields }}{% endblock %}'
    )
    folder = put(tmp_path / "site", "forms/options.html", text)
    variables = {"fields": [], "availability": None, "estimate_url": "", "presets": [], "store": ""}
    page = render_page("forms/options.html", variables, [folder])
    assert page.splitlines()[1:3] == ["<div data-bs-form>", "[]"]
    escaped = put(tmp_path / "other", "page.html", "{{ text }}")
    assert render_page("page.html", {"text": "<b>'"}, [escaped]) == "&lt;b&gt;&#39;"


JINJA_HINT = (
    "it is read as a Jinja template, because it has {{ or {%: a variable is {{ cmd }} there"
)
FORMAT_HINT = "a script with braces of the shell is written as a Jinja template: {{ cmd }} in"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/bash\n{other}\n{cmd}\n", f", line 2: there is no variable 'other'; {FORMAT_HINT}"),
        ("#!/bin/bash\n{cmd}\necho ${HOME}\n", ", line 3: there is no variable 'HOME'"),
        ("#!/bin/bash\n{cmd}\nf() {\n", ", line 3: expected '}' before end of string"),
        ("#!/bin/bash\n{cmd}\n}\n", ", line 3: Single '}' encountered in format string"),
        ("#!/bin/bash\n{}\n{cmd}\n", ", line 2: a variable has no name"),
        ("#!/bin/bash\n{nprocs.x}\n{cmd}\n", ": 'str' object has no attribute 'x'"),
        (
            "#!/bin/bash\n{cmd}\nX=$(ls | awk '{{print $1}}')\n",
            f", line 3: unexpected char '$' at 40; {JINJA_HINT}",
        ),
        ("#!/bin/bash\n{{ cmd }}\n{% if %}\n", ", line 3: Expected an expression"),
        ("#!/bin/bash\n{{cmd}}\n{{ nprocs | no }}\n", ", line 3: No filter named 'no'"),
        ("#!/bin/bash\n{{cmd}}\n{{ a.b }}\n", ", line 3: 'a' is undefined"),
        ("#!/bin/bash\n{{cmd}}\n\n{{ nprocs + 1 }}\n", ", line 4: can only concatenate str"),
        (
            "#!/bin/bash\nexport X=${{HOME}}\n{cmd}\n",
            f", line 3: the variable cmd has single braces; {JINJA_HINT}",
        ),
        (
            "/etc/jupyterhub/slurm_batch.sh",
            " is a path, /etc/jupyterhub/slurm_batch.sh; it has to be the text of a script",
        ),
    ],
)
async def test_a_mistake_in_a_batch_script_says_which_setting_which_line_and_what(script, message):
    spawner = make_spawner(SlurmSpawner, batch_script=script, user_options={"image": "a"})
    with pytest.raises(TemplateError, match=re.escape(f"c.SlurmSpawner.batch_script{message}")):
        await spawner._get_batch_script(**spawner.script_variables())


async def test_a_method_of_the_site_that_fills_the_script_says_the_same():
    class Site(SlurmSpawner):
        async def _get_batch_script(self, **subvars):
            return templating.format_template(self.batch_script, **subvars)

    spawner = make_spawner(Site, batch_script="#!/bin/bash\n{other}\n{cmd}\n")
    with pytest.raises(TemplateError, match=r"c\.Site\.batch_script, line 2: there is no variable"):
        await pack(spawner, Slurm(), Files().leave)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ nprocs + 1 }}", "TypeError: can only concatenate str"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ other }}", "'other' is undefined"),
        ("{% endif %}", "Encountered unknown tag 'endif'"),
    ],
)
def test_a_mistake_in_a_template_file_says_which_file_and_which_line(tmp_path, body, message):
    folder = put(tmp_path, "slurm.j2", f"#!/bin/bash\n{{{{ cmd }}}}\n{body}\n")
    where = f"{tmp_path}/slurm.j2:3: {message}"
    with pytest.raises(TemplateError, match=re.escape(where)):
        render_script("slurm.j2", EVERYTHING, [folder])


@pytest.mark.parametrize("trait", ["batch_submit_cmd", "exec_prefix"])
async def test_a_mistake_in_a_command_is_named(trait):
    commands = {"batch_submit_cmd": "a", "batch_query_cmd": "b", "batch_cancel_cmd": "c"}
    traits = {**commands, trait: "sudo -u {usrname}"}
    spawner = make_spawner(SlurmSpawner, **traits)
    with pytest.raises(TemplateError, match="there is no variable 'usrname'"):
        await spawner.submit_batch_script()
