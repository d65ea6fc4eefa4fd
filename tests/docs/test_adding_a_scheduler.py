"""Run the example of docs/adding-a-scheduler.md as its reader would: as another distribution."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from batchspawner.commands import CommandResult
from batchspawner.jobs import JobRequest, JobState
from tests import recorded
from tests.checking.conftest import SERVER
from tests.hubs import Hub, proxy_command, wait_for
from tests.ports import free_port
from tests.spooler import EXAMPLE, PACKAGE, UNAVAILABLE, install, load, tsp

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "adding-a-scheduler.md"
BUILT_IN = Path(__file__).parents[2] / "batchspawner" / "schedulers"
SETUP = """
from batchspawner.client.blocking_client import BlockingClient
from batchspawner.errors import OptionsError
from batchspawner.jobs import JobRequest, JobState
client = BlockingClient("spooler")
def submit(body, tag=""):
    return client.submit(JobRequest("#!/bin/sh\\n" + body, tag=tag))
"""

real = pytest.mark.skipif(bool(UNAVAILABLE), reason=f"Task Spooler: {UNAVAILABLE}")


@pytest.fixture
def installed(tmp_path):
    """Return the environment of a machine on which the example is installed."""
    folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        **install(tmp_path),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
    }
    environment.pop("BATCHSPAWNER_SCHEDULER", None)
    tsp(environment, "-S", "2")
    yield environment
    try:
        wait_for(lambda: not unfinished(environment), 30, "the end of all jobs")
    finally:
        tsp(environment, "-K")


def unfinished(environment: dict[str, str]) -> list[str]:
    """Return the lines of the jobs that wait or run."""
    lines = tsp(environment, "-l").splitlines()
    return [line for line in lines if line.split()[1] in ("running", "queued")]


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(environment: dict[str, str], *argv: str) -> tuple[int, str, str]:
    """Run `batchspawner`, and return its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "batchspawner.cli", *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_scheduler_is_one_file_one_template_and_one_folder_of_transcripts():
    page = " ".join(PAGE.read_text().split())
    assert "one file, one template and one folder of transcripts" in page
    files = [
        path for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {str(path.relative_to(EXAMPLE)) for path in files if path.suffix != ".txt"} == {
        "pyproject.toml",
        "batchspawner_spooler/__init__.py",
        "batchspawner_spooler/spooler.j2",
    }
    assert {path.parent.name for path in files if path.suffix == ".txt"} == {"transcripts"}


def test_a_scheduler_of_this_library_is_one_folder_and_one_line():
    page = " ".join(PAGE.read_text().split())
    assert "one folder and one line of registration" in page
    registry = (BUILT_IN / "__init__.py").read_text()
    for folder in (path.parent for path in BUILT_IN.glob("*/scheduler.py")):
        assert (BUILT_IN.parents[1] / "templates" / f"{folder.name}.j2").is_file()
        assert len(re.findall(rf'"{folder.name}": "\.{folder.name}:\w+"', registry)) == 1


@pytest.mark.parametrize(
    ("name", "ask", "answer"),
    [
        ("submit", lambda one: one.submit(JobRequest("#!/bin/sh\nexit 3\n", "tag-1")), "0"),
        (
            "list",
            lambda one: one.query("01234"),
            {
                "0": (JobState.FAILED, 3, ""),
                "1": (JobState.CANCELLED, None, ""),
                "2": (JobState.RUNNING, None, ""),
                "3": (JobState.PENDING, None, "all slots are taken"),
                "4": (JobState.COMPLETED, 0, ""),
            },
        ),
        ("list", lambda one: one.find("tag-3"), ["3"]),
        ("list", lambda one: one.tagged(), [("2", "tag-2"), ("3", "tag-3")]),
        ("cancel", lambda one: one.cancel("1"), None),
    ],
)
def test_what_task_spooler_once_printed_is_read_as_the_page_says(name, ask, answer, monkeypatch):
    monkeypatch.setattr(recorded, "FOLDER", EXAMPLE)
    call = ask(load().Spooler())
    read = recorded.answer(call[0] if isinstance(call, list) else call, "transcripts", name)
    if isinstance(read, dict):
        read = {key: (one.state, one.exit_code, one.reason) for key, one in read.items()}
    elif name == "list" and not isinstance(read[0], str):
        read = [(one.job_id, one.text) for one in read]
    assert read == answer


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("queued", JobState.PENDING),
        ("allocating", JobState.PENDING),
        ("running", JobState.RUNNING),
        ("finished", JobState.COMPLETED),
        ("skipped", JobState.CANCELLED),
        ("teleported", JobState.UNKNOWN),
    ],
)
def test_each_state_has_a_meaning(native, state):
    (call,) = load().Spooler().query(["7"])
    line = f"7    {native}   /tmp/out  0   0.00/0.00/0.00 [tag-1]sh -c x\n"
    assert call.parse(CommandResult(call.argv, 0, line))["7"].state is state


@real
def test_the_lines_at_the_end_of_the_page_print_what_they_say(installed):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert python(code[-1], installed) == "failed (exit status 3)\n"


@real
def test_its_jobs_succeed_wait_are_found_and_cancelled(installed):
    code = """
print(client.wait(submit("true"), 0.2).describe())
one, two = submit("sleep 60", "tag-1"), submit("sleep 60")
three = submit("true")
print(client.status(one).host, client.status(three).describe())
print(client.find("tag-1") == [one], client.find("nothing"))
for job_id in (one, two, three):
    client.cancel(job_id)
print(client.wait(one, 0.2).describe(), "|", client.wait(three, 0.2).is_final)
client.cancel(one)
"""
    assert python(SETUP + code, installed).splitlines() == [
        "completed",
        "localhost pending (all slots are taken)",
        "True []",
        "cancelled | True",
    ]


CELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext batchspawner.magics")
shell.run_cell(r'''%%execute --wlm=spooler
#TSP -N 2
echo "in a job of $((1 + 1)) slots"
tsp -l | grep -c running
''')
"""


@real
def test_cells_run_in_its_jobs(installed):
    assert "in a job of 2 slots\n1\n" in python(CELL, installed)


FUNCTIONS = """
import batchspawner.functions as functions
from batchspawner.functions import Executor
@functions.slurmify
def double(number):
    return 2 * number
if __name__ == "__main__":
    functions.set_dispatcher(functions.BatchDispatcher("spooler"))
    first = double.distribute(21)
    second = double.wait_for(first).distribute(4)
    told = first.get_info()
    print(first.result(), second.result(), told["scheduler"], told["on_slurm"])
    with Executor("spooler", 2, nprocs=1) as executor:
        print(list(executor.map(abs, [-1, -2])))
"""


@real
def test_functions_and_an_executor_run_in_its_jobs(installed, tmp_path):
    file = tmp_path / "functions.py"
    file.write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, str(file)], env=installed, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "42 8 spooler False\n[1, 2]\n"), done.stderr


KERNEL = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="in-spooler", startup_timeout=90)
said = []
client.execute_interactive("import subprocess; print(6 * 7)", timeout=60,
                           output_hook=lambda message: said.append(message["content"].get("text")))
print(said)
client.stop_channels()
manager.shutdown_kernel()
"""


@real
def test_kernels_run_in_its_jobs(installed, tmp_path):
    folder = tmp_path / "jupyter" / "kernels" / "in-spooler"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "in a job",
        "language": "python",
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": "batch-provisioner",
                "config": {"scheduler": "spooler", "linger": 0, "python": sys.executable},
            }
        },
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    installed["JUPYTER_PATH"] = str(tmp_path / "jupyter")
    assert "'42\\n'" in python(KERNEL, installed)


CLUSTER = """
import warnings
warnings.simplefilter("ignore")
import ipyparallel
from batchspawner.clusters import Cluster
with Cluster(2, scheduler="spooler") as rc:
    print(rc[:].apply_sync(abs, -3))
with ipyparallel.Cluster(n=1, engines="batch-spooler", profile_dir=sys.argv[1]) as rc:
    print(rc[:].apply_sync(abs, -4))
"""


@real
def test_clusters_run_in_its_jobs(installed, tmp_path):
    code = f"import sys; sys.argv = ['', {str(tmp_path / 'profile')!r}]\n{CLUSTER}"
    assert python(code, installed).splitlines()[-2:] == ["[3, 3]", "[4]"]


def test_its_template_is_found_a_site_can_extend_it_and_it_is_listed(installed, tmp_path):
    code = """
from batchspawner.client.job_scripts import find_scheduler, job_request
request = job_request(find_scheduler("spooler"), "true", front_end="functions", name="f",
                      log="/tmp/a log", nprocs=2, options="-f", folders=[{!r}])
print(request.script)
"""
    (tmp_path / "site").mkdir(exist_ok=True)
    text = (
        '{% extends "packaged/spooler.j2" %}\n{% block prologue %}\nmodule load x\n{% endblock %}\n'
    )
    (tmp_path / "site" / "spooler.j2").write_text(text)
    lines = python(code.format(str(tmp_path / "site")), installed).splitlines()
    assert lines[1:4] == ["#TSP -N 2", "#TSP -f", "exec >'/tmp/a log' 2>&1"]
    assert "module load x" in lines
    code, printed, _ = command(installed, "templates", "list")
    assert (code, f"{PACKAGE.name}/spooler.j2" in printed) == (0, True)


def test_the_launcher_refuses_it_and_says_why(installed):
    argv = ["launcher", "rules", "--scheduler", "spooler", "--group", "hub-users"]
    code, printed, said = command(installed, *argv)
    assert (code, printed) == (1, "")
    assert said.startswith("batchspawner launcher: there are no rules for 'spooler'; known are ")
    assert "Task Spooler shows each user only their own jobs" in said


@real
def test_sudo_can_be_told_of_its_commands(installed):
    argv = ["sudoers", "--scheduler", "spooler", "--group", "hub-users", "--hub", "jupyterhub"]
    code, printed, _ = command(installed, *argv)
    assert code == 0
    assert re.search(r"(?m)^Cmnd_Alias BATCHSPAWNER_[A-Z0-9_]+ = \S+/sh, \S+/tsp$", printed)


def spawn_page(hub: Hub, user: str) -> str:
    """Return the form as a browser shows it."""
    with requests.Session() as browser:
        browser.get(f"{hub.url}/hub/login", timeout=60)
        form = {"username": user, "password": hub.password, "_xsrf": browser.cookies["_xsrf"]}
        browser.post(f"{hub.url}/hub/login", form, timeout=60)
        return browser.get(f"{hub.url}/hub/spawn", timeout=60).text


CONFIG = """
c.BatchSpawnerBase.resource_form = True
"""


@real
@pytest.mark.hub
def test_a_site_with_it_is_checked(installed, tmp_path):
    page = PAGE.read_text()
    config = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    file = tmp_path / "jupyterhub_config.py"
    server = tmp_path / "server"
    server.write_text(SERVER)
    server.chmod(0o755)
    hub = f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{free_port()}'\n"
    hub += f"c.Spawner.cmd = [{str(server)!r}]\nc.JupyterHub.cleanup_servers = False\n"
    file.write_text(f"c = get_config()\n{hub}{config}{CONFIG}")
    user = getpass.getuser()
    code, printed, said = command(installed, "check", "--config", str(file), "--user", user)
    assert (code, said) == (0, ""), printed
    assert "Task Spooler" in printed


@real
@pytest.mark.skipif(not proxy_command(), reason="configurable-http-proxy is not installed")
@pytest.mark.hub
def test_a_hub_starts_servers_through_it_and_offers_its_form(installed, tmp_path):
    config = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    wanted = ("PYTHONPATH", "TS_SOCKET", "TMPDIR", "HOME")
    environment = {name: installed[name] for name in wanted}
    more = 'c.Spawner.args = ["--allow-root"]\nc.BatchSpawnerBase.resource_form = True\n'
    user = getpass.getuser()
    hub = Hub(tmp_path, config + more, (user,), **environment).start()
    try:
        hub.add_users()
        page = spawn_page(hub, user)
        assert re.findall(r'data-bs-field="(\w+)"', page) == ["nprocs"]
        hub.begin(user, {"nprocs": 2})
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
        assert "Slots required: 2" in tsp(installed, "-i", "0")
        hub.end(user)
    finally:
        hub.stop()
