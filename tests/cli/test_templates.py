"""`batchspawner templates`, as an administrator calls it."""

from __future__ import annotations

import getpass
import json
import shlex
from concurrent.futures import ThreadPoolExecutor

import pytest

from batchspawner import templating
from batchspawner.cli.__main__ import main

CONFIG = """
c = get_config()
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.profiles = [
    {"display_name": "Queue", "slug": "queue", "spawner": "batchspawner.LocalQueueSpawner",
     "override": {"resource_form": True, "queue_limits": {"": {"nprocs": 4}},
                  "template_paths": [%r]}, "groups": ["physics"]},
    ("Here", "here", "jupyterhub.spawner.LocalProcessSpawner", {}),
]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of templates, and a configuration that names it."""
    monkeypatch.setenv(templating.PATH_VARIABLE, "")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "local.j2").write_text("#QUEUE --slots={{ nprocs }}\nfor {{ username }}\n")
    (tmp_path / "config.py").write_text(CONFIG % str(folder))
    return folder


def render(site, *arguments: str) -> int:
    config = str(site.parent / "config.py")
    argv = ["templates", "render", "--config", config, "--user", getpass.getuser(), *arguments]
    # The command has an event loop of its own, and this thread has one already.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(main, argv).result()


def test_the_list_says_which_file_is_used(site, capsys):
    assert main(["templates", "list", "--path", str(site)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["local.j2"] == str(site / "local.j2")
    assert lines["slurm.j2"].endswith("slurm.j2")
    assert str(site) not in lines["slurm.j2"]


def test_a_template_and_the_packaged_one_behind_it_are_shown(site, capsys):
    assert main(["templates", "show", "local.j2", "--path", str(site)]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ((site / "local.j2").read_text(), f"# {site}/local.j2\n")
    assert main(["templates", "show", "packaged/local.j2", "--path", str(site)]) == 0
    assert '{% extends "base.j2" %}' in capsys.readouterr().out


def test_a_template_that_does_not_exist_is_an_error(capsys):
    assert main(["templates", "show", "nowhere.j2"]) == 1
    assert capsys.readouterr().err == (
        "batchspawner templates: there is no template 'nowhere.j2'\n"
    )


def test_the_script_of_a_user_and_options_is_shown(site, capsys):
    assert render(site, "--group", "physics", "-o", "nprocs=3") == 0
    shown = capsys.readouterr()
    assert shown.out == f"#QUEUE --slots=3\nfor {getpass.getuser()}\n"
    assert shown.err.splitlines()[-1] == f"# {site}/local.j2"
    assert render(site, "--group", "physics", "--options", json.dumps({"nprocs": 2})) == 0
    assert capsys.readouterr().out.startswith("#QUEUE --slots=2\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--group", "physics", "-o", "nprocs=9"],
            "Cores (nprocs): '9' is not allowed; choose from 1 to 4",
        ),
        (["-o", "profile=queue"], "there is no profile 'queue'; choose one of here"),
        (["-o", "profile=here"], "LocalProcessSpawner has no job script"),
        (["-o", "nprocs"], "--option 'nprocs' is not of the form NAME=VALUE"),
    ],
)
def test_what_would_be_refused_is_refused_here_with_the_same_words(
    site, capsys, arguments, message
):
    assert render(site, *arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"batchspawner templates: {message}"


def test_a_name_that_the_template_would_have_to_quote_is_told(site, capsys):
    who = ["--user", "o'brien", "--group", "physics"]
    assert render(site, *who) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("In a template that is a file, write {{ username | quote }}.")
    (site / "local.j2").write_text("for {{ username | quote }}\n")
    assert render(site, *who) == 0
    assert shlex.split(capsys.readouterr().out) == ["for", "o'brien"]


def test_a_configuration_that_does_not_exist_is_an_error(capsys):
    assert main(["templates", "render", "--config", "nowhere.py", "--user", "ada"]) == 1
    assert "there is no file nowhere.py" in capsys.readouterr().err
    assert main(["templates", "render", "--config", "/tmp", "--user", "ada"]) == 1
    assert "/tmp is a folder, and not a configuration file; name" in capsys.readouterr().err
