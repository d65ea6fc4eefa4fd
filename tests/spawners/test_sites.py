"""Configurations as sites have written them for years: each must load and do what it did."""

from __future__ import annotations

import re

import pytest
from jupyterhub.app import JupyterHub

from batchspawner.errors import TemplateError
from batchspawner.spawners.backends.command_backend import CommandBackend
from batchspawner.spawners.backends.scheduler_backend import SchedulerBackend
from batchspawner.spawners.traits import environment
from tests.spawners.backends.test_command_backend import Script
from tests.spawners.site import OWNER, make_spawner


def load(tmp_path, text: str, **more):
    """Return the spawner that a Hub with this configuration would make."""
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(text)
    app = JupyterHub()
    app.load_config_file(str(file))
    spawner = make_spawner(app.spawner_class, dict(app.config), **more)
    spawner.startup_poll_interval = 0.01
    return spawner


async def commands(spawner, *answers: str) -> list[str]:
    """Submit, query and cancel; return the commands, exactly as a shell got them."""
    seen = []

    async def run_command(cmd, input=None, env=None):  # noqa: A002
        seen.append(cmd.strip())
        return answers[len(seen) - 1]

    spawner.run_command = run_command
    await spawner.submit_batch_script()
    await spawner.query_job_status()
    await spawner.cancel_batch_job()
    return seen


async def script_of(spawner) -> str:
    return await spawner._get_batch_script(**spawner.script_variables())


CLUSTERS = """
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.SlurmSpawner.req_cluster = "two"
c.SlurmSpawner.batch_submit_cmd = "sbatch --parsable -M {cluster}"
c.SlurmSpawner.batch_query_cmd = "squeue -M {cluster} -h -j {job_id} -o '%T %B' | tail -n 1"
c.SlurmSpawner.batch_cancel_cmd = "scancel -M {cluster} {job_id}"
"""


async def test_a_cluster_in_every_command(tmp_path):
    spawner = load(tmp_path, CLUSTERS)
    prefix = f"sudo -E -u {OWNER}"
    assert await commands(spawner, "12;two", "RUNNING n1", "") == [
        f"{prefix} sbatch --parsable -M two",
        f"{prefix} squeue -M two -h -j 12 -o '%T %B' | tail -n 1",
        f"{prefix} scancel -M two 12",
    ]
    assert spawner.state_isrunning()
    assert spawner.state_gethost() == "n1"


async def test_a_cluster_by_its_trait_alone_uses_the_scheduler_layer(tmp_path):
    spawner = load(tmp_path, "\n".join(CLUSTERS.splitlines()[:3]))
    assert isinstance(spawner.backend, SchedulerBackend)
    assert "#SBATCH --clusters=two\n" in await script_of(spawner)


SSH = r"""
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.SlurmSpawner.exec_prefix = "ssh -o StrictHostKeyChecking=no {username}@login"
c.SlurmSpawner.batch_query_cmd = "squeue -h -j {job_id} -o \\'%T %B\\'"
"""


async def test_commands_that_go_through_ssh_are_quoted_twice_as_written(tmp_path):
    seen = await commands(load(tmp_path, SSH), "12", "PENDING", "")
    prefix = f"ssh -o StrictHostKeyChecking=no {OWNER}@login"
    assert seen == [
        f"{prefix} sbatch --parsable",
        rf"{prefix} squeue -h -j 12 -o \'%T %B\'",
        f"{prefix} scancel 12",
    ]


SHELL = """
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.BatchSpawnerBase.exec_prefix = ""
c.SlurmSpawner.batch_submit_cmd = \'\'\'. /etc/profile && if true; then
  sbatch --parsable --comment="$(hostname) {username}"; fi | tee /dev/null\'\'\'
c.SlurmSpawner.batch_query_cmd = "squeue -h -j {{job_id}} -o '%T %B'"
c.SlurmSpawner.batch_cancel_cmd = "scancel {{ job_id }}; true"
"""


async def test_a_submit_of_several_statements_reaches_the_shell_as_it_is(tmp_path):
    seen = await commands(load(tmp_path, SHELL), "12", "PENDING", "")
    submit = f'  sbatch --parsable --comment="$(hostname) {OWNER}"; fi | tee /dev/null'
    assert seen == [
        f". /etc/profile && if true; then\n{submit}",
        "squeue -h -j 12 -o '%T %B'",
        "scancel 12; true",
    ]


async def test_several_statements_really_run(tmp_path):
    config = SHELL.replace(". /etc/profile", "true").replace("sbatch --parsable", "echo 77; :")
    spawner = load(tmp_path, config)
    await spawner.submit_batch_script()
    assert spawner.job_id == "77"


PROPERTIES = """
from batchspawner import SlurmSpawner
class SiteSpawner(SlurmSpawner):
    exec_prefix = ""
    req_partition = "day"
    env_keep = []
    batchspawner_singleuser_cmd = "/opt/bin/batchspawner-singleuser"
    @property
    def batch_script(self):
        gpus = self.user_options.get("gpus", 0)
        lines = ["#!/bin/bash", "#SBATCH -p {partition}", "#SBATCH --export={keepvars}"]
        if gpus:
            lines.append(f"#SBATCH --gpus={gpus}")
        return "\\n".join(lines + ["{cmd}", ""])
    @property
    def options_form(self):
        return "<input name=gpus type=number>"
    def options_from_form(self, data):
        return {"gpus": int(data["gpus"][0])}
c.JupyterHub.spawner_class = SiteSpawner
"""


async def test_script_and_form_may_be_properties_and_traits_plain_attributes(tmp_path):
    spawner = load(tmp_path, PROPERTIES, user_options={"gpus": 2})
    assert await spawner.get_options_form() == "<input name=gpus type=number>"
    assert spawner.options_from_form({"gpus": ["2"]}) == {"gpus": 2}
    assert (await script_of(spawner)).splitlines() == [
        "#!/bin/bash",
        "#SBATCH -p day",
        f"#SBATCH --export={spawner.req_keepvars}",
        "#SBATCH --gpus=2",
        "/opt/bin/batchspawner-singleuser jupyterhub-singleuser",
    ]
    assert isinstance(spawner.backend, SchedulerBackend)


TRAITS = """
from batchspawner import TorqueSpawner
from traitlets import Unicode, default
class SiteSpawner(TorqueSpawner):
    req_walltime = Unicode("1:00:00").tag(config=True)
    req_features = Unicode("", config=True)
    @default("req_homedir")
    def _home(self):
        return "/gpfs/" + self.user.name
    @default("req_username")
    def _name(self):
        return "hpc_" + self.user.name
    def user_env(self, env):
        return env
c.JupyterHub.spawner_class = SiteSpawner
c.SiteSpawner.req_features = "fast"
c.SiteSpawner.batch_script = \'\'\'#!/bin/sh
#PBS -l walltime={{walltime}}{% if features %}:{{features}}{% endif %}
#PBS -o {{homedir}}/{{nothing_of_the_kind}}log
{{prologue}}
{{cmd}}\'\'\'
"""


async def test_traits_and_defaults_of_a_site_reach_its_template(tmp_path):
    spawner = load(tmp_path, TRAITS)
    assert (await script_of(spawner)).splitlines() == [
        "#!/bin/sh",
        "#PBS -l walltime=1:00:00:fast",
        f"#PBS -o /gpfs/{OWNER}/log",
        "",
        "batchspawner-singleuser jupyterhub-singleuser",
    ]
    assert spawner.get_req_subvars()["username"] == f"hpc_{OWNER}"


HOSTS = r"""
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.SlurmSpawner.state_exechost_re = r"\s+([\w_-]+)$"
c.SlurmSpawner.state_exechost_exp = r"\1.cluster.example.org"
"""


async def test_host_names_are_rewritten_by_an_expression(tmp_path):
    spawner = load(tmp_path, HOSTS)
    assert isinstance(spawner.backend, CommandBackend)
    spawner.run_command = Script(("squeue -h -j 7", "RUNNING n1"))
    spawner.job_id = "7"
    await spawner.query_job_status()
    assert spawner.state_gethost() == "n1.cluster.example.org"


RESOLVER = """
c.JupyterHub.spawner_class = "batchspawner.MultiSlurmSpawner"
c.MultiSlurmSpawner.daemon_resolver = {"n1": "10.0.0.1"}
"""


def test_a_resolver_needs_no_commands_of_its_own(tmp_path):
    spawner = load(tmp_path, RESOLVER)
    assert isinstance(spawner.backend, SchedulerBackend)
    assert [spawner.connect_host(host) for host in ("n1", "n2")] == ["10.0.0.1", "n2"]


CONTAINER = """
c.JupyterHub.spawner_class = "slurmspawner"
c.SlurmSpawner.batchspawner_singleuser_cmd = "apptainer exec /img/x.sif batchspawner-singleuser"
c.Spawner.cmd = ["jupyter-labhub"]
c.Spawner.args = ["--debug"]
c.SlurmSpawner.req_options = "--exclusive"
"""


async def test_the_wrapper_may_stand_in_a_container(tmp_path):
    config = CONTAINER.replace('"slurmspawner"', '"slurm"')
    script = await script_of(load(tmp_path, config))
    assert "#SBATCH --exclusive\n" in script
    command = "apptainer exec /img/x.sif batchspawner-singleuser jupyter-labhub --debug"
    assert re.search(rf"^srun {re.escape(command)} \|\| status=\$\?$", script, re.MULTILINE)


FORMAT = """
c.JupyterHub.spawner_class = "batchspawner.LsfSpawner"
c.LsfSpawner.batch_script = "#!/bin/sh\\n#BSUB -q {queue}\\nexport X=${{HOME}}\\n{cmd}\\n"
c.LsfSpawner.req_queue = "short"
"""


async def test_doubled_braces_of_an_old_string_that_make_it_jinja_are_refused(tmp_path):
    # The braces were meant for `str.format`, but `{{` has always made the text Jinja.
    with pytest.raises(
        TemplateError, match=r"batch_script, line 4: the variable cmd has single braces"
    ):
        await script_of(load(tmp_path, FORMAT))


def test_the_handler_may_be_registered_by_hand_too(tmp_path):
    config = """
import batchspawner
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.JupyterHub.extra_handlers = [(r"/api/batchspawner", "batchspawner.api.BatchSpawnerAPIHandler")]
"""
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(config)
    app = JupyterHub()
    app.load_config_file(str(file))
    from traitlets.utils.importstring import import_item

    ((_, name),) = app.extra_handlers
    assert import_item(name) is import_item("batchspawner.api").BatchSpawnerAPIHandler


async def test_a_user_without_an_account_reads_that_there_is_none(spawner, monkeypatch):
    def getpwnam(name):
        raise KeyError(name)

    monkeypatch.setattr(environment.pwd, "getpwnam", getpwnam)
    with pytest.raises(KeyError) as refused:
        await spawner.start()
    assert refused.value.jupyterhub_message.startswith(
        f"There is no account {OWNER} on the Hub's machine"
    )
