"""Templates that a site puts before ours, and the command that shows them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batchspawner.cli.__main__ import main
from batchspawner.errors import TemplateError
from batchspawner.templating import find_template, render_script, search_path, template_names
from tests.test_scripts import EVERYTHING, MINIMAL


@pytest.fixture
def site(tmp_path):
    """Return a function that writes a site's template."""

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path)

    return write


def test_a_template_of_the_site_wins(site):
    folder = site("slurm.j2", "#!/bin/sh\n{{ cmd }}\n")
    script = render_script("slurm.j2", MINIMAL, [folder])
    assert script == "#!/bin/sh\nbatchspawner-singleuser jupyterhub-singleuser\n"


def test_a_template_of_the_site_overrides_one_block_of_ours(site):
    own = '{% extends "packaged/slurm.j2" %}\n{% block prologue %}\nmodule load site\n'
    folder = site("slurm.j2", own + "{{ super() }}{% endblock %}\n")
    ours = render_script("slurm.j2", EVERYTHING)
    assert render_script("slurm.j2", EVERYTHING, [folder]) == ours.replace(
        "module load python\n", "module load site\nmodule load python\n"
    )


def test_a_frame_of_the_site_holds_for_every_scheduler(site):
    frame = '{% extends "packaged/base.j2" %}\n{% block environment %}\nsite_setup\n{% endblock %}'
    folder = site("base.j2", frame)
    for name in ("slurm.j2", "pbspro.j2", "lsf.j2"):
        assert "\nsite_setup\n" in render_script(name, MINIMAL, [folder])


def test_the_folders_come_in_their_order(monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_TEMPLATE_PATH", "/b::/c")
    assert search_path(["/a"]) == ("/a", "/b", "/c", "/etc/batchspawner/templates")


def test_a_template_that_changes_is_read_anew(site):
    folder = site("slurm.j2", "one\n")
    assert render_script("slurm.j2", MINIMAL, [folder]) == "one\n"
    site("slurm.j2", "two and more\n")
    assert render_script("slurm.j2", MINIMAL, [folder]) == "two and more\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\n\n{{ memmory }}\n", "slurm.j2:3: 'memmory' is undefined"),
        ("#!/bin/sh\n{% if queue %}\n", "slurm.j2:2: Unexpected end of template"),
        ("{% extends 'packaged/slrum.j2' %}", "there is no template 'packaged/slrum.j2'"),
        ("{{ cmd.__class__.__mro__ }}\n", "slurm.j2:1: access to attribute '__class__'"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(site, text, said):
    folder = site("slurm.j2", text)
    with pytest.raises(TemplateError) as error:
        render_script("slurm.j2", MINIMAL, [folder])
    assert said in str(error.value)


def test_all_templates_are_listed_and_found(site):
    folder = site("ours.j2", "x")
    assert {"base.j2", "slurm.j2", "ours.j2"} <= set(template_names([folder]))
    assert find_template("ours.j2", [folder]) == (f"{folder}/ours.j2", "x")
    with pytest.raises(TemplateError, match=r"no template 'theirs\.j2'"):
        find_template("theirs.j2", [folder])


CONFIG = """
c.JupyterHub.spawner_class = "slurm"
c.SlurmSpawner.req_partition = "day"
c.SlurmSpawner.template_paths = [{folder!r}]
"""


@pytest.fixture
def config(site, tmp_path):
    folder = site("slurm.j2", "#!/bin/sh\n#SBATCH -p {{ partition }} -n {{ nprocs }}\n{{ cmd }}\n")
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(CONFIG.format(folder=folder))
    return str(file)


def test_the_command_lists_the_file_that_wins(config, capsys):
    assert main(["templates", "list", "-f", config]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["slurm.j2"] == config.replace("jupyterhub_config.py", "slurm.j2")
    assert "templates" in lines["torque.j2"]


def test_the_command_shows_a_template(config, capsys):
    assert main(["templates", "show", "slurm", "-f", config]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/sh\n#SBATCH -p {{ partition }}")
    assert main(["templates", "show", "packaged/slurm", "-f", config]) == 0
    assert capsys.readouterr().out.startswith('{% extends "base.j2" %}')


def test_the_command_renders_the_script_of_a_user(config):
    import getpass

    command = [sys.executable, "-m", "batchspawner.cli", "templates", "render", "-f", config]
    more = ["--user", getpass.getuser(), "-o", "nprocs=4"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=60)
    assert done.stdout == (
        "#!/bin/sh\n#SBATCH -p day -n 4\nbatchspawner-singleuser jupyterhub-singleuser\n"
    ), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "slrum"], "there is no template 'slrum.j2'"),
        (["render", "--user", "x", "-o", "nprocs"], "--option 'nprocs' is not like queue=day"),
    ],
)
def test_the_command_says_what_was_wrong(arguments, said, capsys):
    assert main(["templates", *arguments]) == 1
    assert said in capsys.readouterr().err
