"""`batchspawner launcher` and `batchspawner sudoers`, as an administrator calls them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batchspawner import launcher
from batchspawner.cli.__main__ import main
from batchspawner.jobs import JobRequest
from batchspawner.launcher import Launcher, Rules
from batchspawner.schedulers import scheduler_class, scheduler_names
from tests.launching import ME

TAG = "jh-0123456789ab"
TOOLS = (
    "bjobs bkill bsub checkjob condor_q condor_rm condor_submit mdiag mjobctl msub oardel oarstat "
    "oarsub qdel qsig qstat qsub sbatch scancel squeue sh"
).split()
NAMES = [name for name in scheduler_names() if name not in ("local", "spooler")]
ALIAS = re.compile("BATCHSPAWNER_JUPYTERHUB_[0-9A-F]{6}")
VISUDO = shutil.which("visudo", path="/usr/sbin:/sbin:/usr/bin")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder with all schedulers' commands, the only one on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def printed(capsys, *argv: str) -> str:
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def rules_of(capsys, name: str) -> Rules:
    text = printed(capsys, "launcher", "rules", "--scheduler", name, "--group", "hub-users")
    return Rules(json.loads(text))


def plain(command: list[str]) -> list[str]:
    return [Path(command[0]).name, *command[1:]]


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_have_the_same_commands_as_the_scheduler_layer(name, capsys, tools):
    rules, scheduler = rules_of(capsys, name), scheduler_class(name)()
    request = JobRequest("#!/bin/sh\n", TAG, {"JUPYTERHUB_USER": "ada"})
    wanted = {"submit": scheduler.submit(request), "cancel": scheduler.cancel("12")}
    if rules.commands["signal"]:
        wanted["signal"] = scheduler.signal("12", 15)
    values = {
        "tag": TAG,
        "names": "JUPYTERHUB_USER",
        "job_id": "12",
        "signal": "15",
        **rules.job_id.fullmatch("12").groupdict(),
    }
    for verb, call in wanted.items():
        assert plain(rules.command(verb, values)) == list(call.argv)
    assert str(tools) in rules.environment["PATH"].split(":")
    assert rules.command("show", values)[0].startswith(str(tools))


def test_a_job_of_another_cluster_of_slurm_is_cancelled_there(capsys, tools):
    rules = rules_of(capsys, "slurm")
    values = rules.job_id.fullmatch("12;two").groupdict()
    assert plain(rules.command("cancel", values)) == ["scancel", "--clusters=two", "12"]
    # Its script writes %j, the number alone.
    assert launcher._filled(rules.log, values | {"home": "/h"}) == ("/h/.jupyterhub.slurm.12.log")


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("htcondor", "executable = x\n include command : id |\nqueue\n"),
        ("htcondor", "executable = x\nincl\\\nude command : id |\nqueue\n"),
        ("htcondor", "executable = x\nincl\\ \nude command : id |\nqueue\n"),
        ("htcondor", "executable = x\n@include : id |\nqueue\n"),
        ("htcondor", "executable = x\nif true\n include : id |\nendif\nqueue\n"),
        ("htcondor", "executable = x\nqueue a from ls |\n"),
        ("htcondor", "executable = x\nqueue = a from ls |\n"),
        ("htcondor", "executable = x\nqueue a from \\\n ls |\n"),
        ("htcondor", "executable = x\np = |\nqueue a from ls $(p)\n"),
        ("htcondor", "executable = x\np = a from ls |\nqueue $(p)\n"),
        ("htcondor", "executable = x\nuniverse = local\nqueue\n"),
        ("htcondor", "executable = x\nUniverse=Scheduler\nqueue\n"),
        ("htcondor", "executable = x\nu = local\nuniverse = $(u)\nqueue\n"),
        ("htcondor", "executable = x\nu = universe\n$(u) = local\nqueue\n"),
        ("htcondor", "executable = x\nJobUniverse = 7\nqueue\n"),
        ("htcondor", "executable = x\n+JobUniverse = 12\nqueue\n"),
        ("htcondor", "executable = x\nMY.jobUniverse = 7\nqueue\n"),
        ("slurm", "#SBATCH -w /home/ada/.ssh/id_rsa\n"),
        ("slurm", "#SBATCH --time=1:00 --exclude=/home/ada/.ssh/id_rsa\n"),
        ("slurm", "#SBATCH -w/home/ada/.ssh/id_rsa\n"),
        ("slurm", "#SBATCH--nodelist /home/ada/.ssh/id_rsa\n"),
        ("moab", "#MSUB -l trig=atype=exec,action=/tmp/x\n"),
        ("moab", '#PBS -l t"r"ig=atype=exec,action=/tmp/x\n'),
        ("oar", "#OAR --notify exec:/tmp/x\n"),
        ("oar", "#OAR  --notify exec:/tmp/x\n"),
        ("oar", "#OAR --notify [END]exec:/tmp/x\n"),
        ("oar", "#OAR --notify mail:a@b.de exec:/tmp/x\n"),
        ("oar", "#OAR --notify mail:a@b.de\rexec:/tmp/x\n"),
        ("oar", "#OAR --array-param-file /dev/null; id\n"),
        ("oar", "#OAR -i /home/ada/.ssh/id_rsa\n"),
        ("oar", "#OAR --export-job-key-to-file /home/ada/.ssh/id_rsa\n"),
        ("oar", "#OAR -t deploy\n"),
        ("oar", "#OAR -tcosystem\n"),
        ("oar", "#OAR  --type 'deploy'\n"),
    ],
)
def test_what_would_run_on_the_login_host_is_refused(name, script, capsys, tools):
    rules = rules_of(capsys, name)
    assert any(pattern.search(script) for pattern in rules.refused)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("slurm", "#SBATCH --export-file=/home/ada/.ssh/id_rsa"),
        ("slurm", "#SBATCH --export-f /home/ada/.ssh/id_rsa"),
        ("slurm", "#SBATCH --time=1:00 --export-file 3"),
        ("slurm", "  #SBATCH --bbf=/home/ada/.ssh/id_rsa"),
        ("slurm", '#SBATCH "--export-file=/x"'),
        ("slurm", '#SBATCH --expo"rt-file"=/x'),
        ("slurm", "#SBATCH \\--export-file=/x"),
        ("slurm", "#SBATCH -n1 -F /x"),
        ("slurm", '#SBATCH "-w" /home/ada/.ssh/id_rsa'),
        ("slurm", "#SBATCH --uid=0"),
        ("slurm", "#SBATCH --wrap=id"),
        ("slurm", "#SBATCH --comment=jh-0123456789ab"),
        ("slurm", "#SBATCH -n1\r--export-file=/x"),
        ("slurm", "#SBATCH -n1\r\r\v--export-file=/x\r"),
        ("slurm", "#\r#SBATCH--export-file=/x"),
        ("slurm", "#PBS -W stagein=a@b:c"),
        ("slurm", "#BSUB -E /tmp/x"),
        ("gridengine", "#$ -jsv /tmp/x"),
        ("gridengine", "#$-jsv /tmp/x"),
        ("gridengine", "#$-@ /tmp/x"),
        ("gridengine", "#$ -q all -C %"),
        ("gridengine", '#$ "-jsv" /tmp/x'),
        ("gridengine", "#$ '-jsv' /tmp/x"),
        ("gridengine", '#$ -q all -"@" /tmp/x'),
        ("gridengine", "#$ \\-jsv /tmp/x"),
        ("gridengine", "#$ -sync y"),
        ("gridengine", "#$ -q all\r-jsv /tmp/x"),
        ("pbspro", "#PBS -W stagein=a@b:/home/ada/.ssh/id_rsa"),
        ("pbspro", "#PBS -Wstagein=a@b:c"),
        ("pbspro", "#PBS -C #X"),
        ("pbspro", "#PBS -hC #X"),
        ("pbspro", "#PBS -l select=1 \\"),
        ("pbspro", "#PBS -I"),
        ("pbspro", "#PBS -q x\r-W stagein=a@b:c"),
        ("torque", "#PBS -W stagein=a@b:c"),
        ("torque", '#PBS "-W" stagein=a@b:c'),
        ("moab", "#MSUB -W x=1"),
        ("lsf", '#BSUB -f "/home/ada/.ssh/id_rsa > x"'),
        ("lsf", "#BSUB -is /home/ada/.ssh/id_rsa"),
        ("lsf", "#BSUB -Zs"),
        ("lsf", "#BSUB -K"),
    ],
)
def test_an_option_of_no_packaged_script_is_refused_as_well_where_it_is_quoted(
    name, line, capsys, tools
):
    desk = Launcher(rules_of(capsys, name), ME)
    for script in (f"#!/bin/sh\n{line}\n", f"#!/bin/sh\n\n# said\n{line}\nexit\n"):
        options = desk._options(script)
        assert [one for one in options if not desk._allows(one)], options


@pytest.mark.parametrize("name", NAMES)
def test_no_packaged_script_is_refused(name, capsys, tools):
    rules = rules_of(capsys, name)
    for file in (Path(__file__).parents[1] / "golden").glob(f"{name}-*"):
        # Some have options of Slurm, for which HTCondor and OAR would refuse the job.
        text = re.sub(r"(?m)^(?:#OAR )?--(?:exclusive|mail-type=END)\n", "", file.read_text())
        assert not [one.pattern for one in rules.refused if one.search(text)]
        desk = Launcher(rules, ME)
        slurms = ("--exclusive", "--mail-type=END") if name != "slurm" else ()
        options = [one for one in desk._options(text) if one not in slurms]
        assert [one for one in options if not desk._allows(one)] == []
        assert options or not rules.directives


SHOWN = {
    "gridengine": "job_number:       12\njob_name:         {name}\nenv_list:         {variable}\n",
    "htcondor": "{name}\n",
    "lsf": "{name}\n",
    "moab": '<Data><job EEDuration="1" Env="{variable}" JobID="12" JobName="{name}"></job></Data>',
    "oar": "Job_Id: 12\n    job_array_id = 12\n    name = {name}\n    command = {variable}\n",
    "pbspro": "Job Id: 12.one\n    Job_Name = {name}\n    Variable_List = {variable},\n\tA=b\n",
    "slurm": "{name} spawner-jupyterhub\n",
    "torque": "Job Id: 12.one\n    Job_Name = {name}\n    Variable_List = {variable},\n\tA=b\n",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_job_has_the_tag_in_its_name_and_not_in_its_variables(name, capsys, tools):
    rules = rules_of(capsys, name)

    def found(**words):
        return [match[1] for match in rules.shown.finditer(SHOWN[name].format(**words))]

    assert TAG in found(name=TAG, variable="OUTER=x")
    assert TAG not in found(name="other", variable=f"OUTER={TAG}")


def test_a_command_that_is_not_there_is_named(capsys, tools):
    (tools / "scancel").unlink()
    argv = ["launcher", "rules", "--scheduler", "slurm", "--group", "hub-users"]
    assert main(argv) == 1
    assert capsys.readouterr().err.startswith("batchspawner launcher: scancel is not on PATH.")


@pytest.mark.parametrize("name", ["local", "nothing"])
def test_a_scheduler_without_rules_is_named(name, capsys, tools):
    assert main(["launcher", "rules", "--scheduler", name, "--group", "hub-users"]) == 1
    assert f"there are no rules for {name!r}; known are gridengine," in capsys.readouterr().err


def test_the_program_is_printed_as_it_is(capsys):
    text = printed(capsys, "launcher", "program")
    assert text == Path(launcher.__file__).read_text(encoding="utf-8")


def test_each_launcher_of_a_host_has_rules_of_its_own(capsys, tmp_path):
    file = "/etc/batchspawner/launcher-gpu.json"
    program = tmp_path / "launcher"
    program.write_text(printed(capsys, "launcher", "program", "--rules", file))
    done = subprocess.run(
        [sys.executable, "-I", program], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        78,
        f"batchspawner-launcher: {file}: No such file or directory\n",
    )
    assert launcher.CONFIGURATION not in program.read_text()


@pytest.mark.parametrize("file", ["gpu.json", '/etc/x"', "/etc/../tmp/x", "/etc/a b", "/etc/", ""])
def test_a_file_of_rules_that_would_have_to_be_escaped_is_refused(file, capsys):
    assert main(["launcher", "program", "--rules", file]) == 1
    assert "has another form than" in capsys.readouterr().err


def test_the_rule_for_sudo_allows_the_launcher_without_arguments_and_nothing_else(capsys):
    text = printed(capsys, "sudoers", "--group", "hub-users", "--hub", "jupyterhub")
    assert ALIAS.sub("NAME", text).splitlines()[2:] == [
        'Cmnd_Alias NAME = /usr/local/sbin/batchspawner-launcher ""',
        "Runas_Alias NAME_USERS = %hub-users, !root",
        "Defaults!NAME env_reset, !setenv, !requiretty, !log_input, !log_output",
        "jupyterhub ALL=(NAME_USERS) NOPASSWD: NAME",
    ]


def test_without_a_launcher_the_rule_has_the_schedulers_commands(capsys, tools, monkeypatch):
    # The path of a folder for tests may hold what sudoers would want escaped.
    monkeypatch.setattr("batchspawner.cli.launcher_rules._found", lambda tool: f"/usr/bin/{tool}")
    text = printed(capsys, "sudoers", "--group", "x", "--hub", "hub", "--scheduler", "slurm")
    assert commands_in(text) == "/usr/bin/sbatch, /usr/bin/scancel, /usr/bin/squeue"


def commands_in(text: str) -> str:
    (found,) = re.findall("^Cmnd_Alias [A-Z0-9_]+ = (.*)$", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("name", ["gridengine", "htcondor"])
def test_the_rule_lets_the_hub_leave_the_private_file_that_a_job_needs(
    name, capsys, tools, monkeypatch
):
    monkeypatch.setattr("batchspawner.cli.launcher_rules._found", lambda tool: f"/usr/bin/{tool}")
    text = printed(capsys, "sudoers", "--group", "x", "--hub", "hub", "--scheduler", name)
    assert "/usr/bin/sh" in commands_in(text).split(", ")


def test_the_rule_lets_sudo_find_commands_in_folders_of_their_own(capsys, tools, monkeypatch):
    monkeypatch.setattr(
        "batchspawner.cli.launcher_rules._found",
        lambda tool: f"/usr/bin/{tool}" if tool == "sh" else f"/opt/sge/bin/lx-amd64/{tool}",
    )
    text = printed(capsys, "sudoers", "--group", "x", "--hub", "hub", "--scheduler", "gridengine")
    assert (
        "Defaults:hub secure_path=/opt/sge/bin/lx-amd64:/usr/local/sbin:/usr/local/bin:/usr/sbin:"
        "/usr/bin:/sbin:/bin\n"
    ) in text


@pytest.mark.parametrize(
    "argv",
    [
        ["--group", "hub users"],
        ["--group", "x, ALL"],
        ["--group", "x", "--hub", "hub ALL=(ALL) ALL\n"],
        ["--group", "x", "--launcher", "batchspawner-launcher"],
        ["--group", "x", "--launcher", "/opt/a, /bin/sh"],
    ],
)
def test_what_would_mean_something_else_in_sudoers_is_refused(argv, capsys):
    assert main(["sudoers", "--hub", "hub", *argv]) == 1
    assert "has another form than" in capsys.readouterr().err


@pytest.mark.skipif(not VISUDO, reason="visudo is not installed (apt-get install sudo)")
def test_visudo_accepts_the_rules_of_several_hubs_and_launchers(
    capsys, tools, tmp_path, monkeypatch
):
    monkeypatch.setattr("batchspawner.cli.launcher_rules._found", lambda tool: f"/usr/bin/{tool}")
    file = tmp_path / "rules"
    # As a folder with the rules of several Hubs and launchers, which share one space of names.
    for words in (
        "--hub hub --group users",
        "--hub hub-2 --group users",
        "--hub hub_2 --group users",
        "--hub hub --group staff",
        "--hub hub --group users --launcher /opt/b/batchspawner-launcher",
        "--hub hub --group users --scheduler slurm",
        "--hub hub --group users --scheduler gridengine",
    ):
        with file.open("a") as rules:
            rules.write(printed(capsys, "sudoers", *words.split()))
    file.chmod(0o440)
    done = subprocess.run([VISUDO, "-cf", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
