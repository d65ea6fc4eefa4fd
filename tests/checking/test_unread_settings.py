"""Settings are judged as traitlets judges them: by the class of which an object is made."""

from __future__ import annotations

import pytest

from batchspawner.checking.configuration import load_site
from batchspawner.checking.unread_settings import check_settings
from batchspawner.spawners import GridengineSpawner, LocalQueueSpawner, SlurmSpawner
from wrapspawner import ProfilesSpawner


def findings(tmp_path, classes, *lines):
    file = tmp_path / "jupyterhub_config.py"
    file.write_text("\n".join(["c.JupyterHub.spawner_class = 'slurm'", *lines]))
    site = load_site(file)
    app = site.app
    made = [type(app), app.authenticator_class, app.proxy_class, *classes]
    found = check_settings(site, made)
    return [(one.verdict.value, one.text, one.cure) for one in found if one.verdict.value != "ok"]


@pytest.mark.parametrize(
    "line",
    [
        "c.BatchSpawnerBase.req_qos = 'x'",
        "c.BatchSpawnerBase.req_cluster = 'x'",
        "c.Spawner.req_partition = 'x'",
        "c.LoggingConfigurable.req_partition = 'x'",
        "c.BatchSpawnerRegexStates.state_running_re = 'x'",
        "c.SlurmSpawner.start_timeout = 60",
        "c.JupyterHub.admin_access = False",
        "c.Authenticator.admin_users = {'ada'}",
        "c.SomeExtension.port = 3",
    ],
)
def test_a_section_applies_to_each_class_that_is_derived_from_it(tmp_path, line):
    assert findings(tmp_path, [SlurmSpawner], line) == []


@pytest.mark.parametrize(
    ("section", "option"),
    [("SlurmSpawner", "req_srn"), ("Spawner", "req_flavour"), ("JupyterHub", "bind_ulr")],
)
def test_an_option_that_no_class_has_is_reported(tmp_path, section, option):
    ((verdict, text, _),) = findings(tmp_path, [SlurmSpawner], f"c.{section}.{option} = ''")
    assert (verdict, text) == ("wrong", f"c.{section}.{option} is not an option and has no effect")


def test_a_cure_is_a_like_name_that_takes_the_value(tmp_path):
    found = findings(tmp_path, [SlurmSpawner], "c.BatchSpawnerBase.req_runtme = '8:00:00'")
    assert found[0][2] == "c.BatchSpawnerBase.req_runtime = '8:00:00'"
    # There is `start_timeout`, but it is a number.
    assert findings(tmp_path, [SlurmSpawner], "c.Spawner.start_timout = 'long'")[0][2] == ""
    # Grid Engine has no `srun`, and `runtime` is something else.
    assert findings(tmp_path, [GridengineSpawner], "c.BatchSpawnerBase.req_srun = ''")[0][2] == ""


def test_an_option_of_any_profile_counts(tmp_path):
    classes = [ProfilesSpawner, SlurmSpawner, LocalQueueSpawner]
    assert findings(tmp_path, classes, "c.Spawner.req_partition = 'x'") == []


def test_a_section_of_a_spawner_that_is_not_used_is_a_warning(tmp_path):
    ((verdict, text, _),) = findings(tmp_path, [SlurmSpawner], "c.TorqueSpawner.req_queue = 'q'")
    assert (verdict, text) == (
        "warning",
        "nothing reads the section c.TorqueSpawner: the spawner is SlurmSpawner",
    )
