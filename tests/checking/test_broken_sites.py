"""Sites that were broken on purpose: each finding says what is wrong and how to fix it."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from tests.ports import free_port

# Each of them runs jobs: they are no unit tests.
pytestmark = pytest.mark.hub

PYTHON = Path(sys.executable)


def test_a_site_that_works_has_no_wrong_finding(place):
    findings = place.findings()
    assert [(one["name"], one["verdict"]) for one in findings] == [
        (name, "ok")
        for name in (
            "configuration",
            "address",
            "user",
            "commands",
            "rights",
            "scheduler",
            "script",
            "submit",
            "start",
            "node",
            "home",
            "hub",
            "port",
            "environment",
            "page",
            "secrets",
            "visit",
            "clock",
            "cancel",
        )
    ]
    figures = {key for one in findings for key in one["figures"]}
    assert figures == {
        "answer_seconds",
        "submit_seconds",
        "wait_seconds",
        "report_seconds",
        "answer_ms",
        "page_seconds",
        "free_mb",
        "skew_seconds",
    }


def test_a_report_for_people_has_a_line_for_each_finding_and_one_for_all(place):
    done = place.call("--no-job")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok      configuration: jupyterhub_config.py is loaded: Local")
    assert lines[-1] == "Nothing is wrong."


def test_a_program_gets_a_document_and_an_exit_status(place):
    done = place.call("--no-job", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"], done.stderr) == (0, True, "")
    place.user = "nobody-of-that-name"
    done = place.call("--no-job", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"], done.stderr) == (1, False, "")


def test_1_a_configuration_that_is_not_there(place):
    done = place.call("-f", "nowhere.py")
    assert done.returncode == 1
    assert "wrong   configuration: there is no file nowhere.py" in done.stdout
    done = place.call("--config=.")
    assert "wrong   configuration: . is a folder, and not a configuration file" in done.stdout


def test_2_a_configuration_with_a_syntax_error(place):
    one = place.wrong("c.Spawner.cmd = [")
    assert one["name"] == "configuration"
    assert "SyntaxError" in one["text"]
    assert one["cure"].startswith("line 7: c.Spawner.cmd = [")


def test_3_a_configuration_that_fails_says_in_which_line(place):
    one = place.wrong("import os; os.environ['NOT_THERE']")
    assert "KeyError: 'NOT_THERE'" in one["text"]
    assert one["cure"] == "line 7: import os; os.environ['NOT_THERE']"


def test_4_a_spawner_that_does_not_exist(place):
    one = place.wrong("c.JupyterHub.spawner_class = 'slrum'")
    assert one["name"] == "configuration"
    assert "slrum" in one["text"]


def test_5_a_spawner_that_starts_no_jobs(place):
    one = place.wrong("c.JupyterHub.spawner_class = 'simple'")
    assert one["text"] == "SimpleLocalProcessSpawner does not start batch jobs"
    assert one["cure"].startswith('c.JupyterHub.spawner_class = "slurm"')


def test_6_a_misspelt_option(place):
    one = place.wrong("c.LocalQueueSpawner.req_runtme = '1:00:00'")
    assert one["text"] == "c.LocalQueueSpawner.req_runtme is not an option and has no effect"
    assert one["cure"] == "c.LocalQueueSpawner.req_runtime = '1:00:00'"


def test_7_commands_that_are_not_on_the_path(place):
    place.lines.append("c.JupyterHub.spawner_class = 'pbs'")
    place.path = f"{PYTHON.parent}:{place.folder}"
    one = place.wrong()
    assert one["name"] == "commands"
    assert one["text"].startswith("qdel, qstat, qsub: not found on this machine; PATH is ")
    assert "Environment=PATH=" in one["cure"]


def test_8_a_user_who_does_not_exist(place):
    place.user = "nobody-of-that-name"
    one = place.wrong()
    assert (one["name"], one["text"]) == (
        "user",
        "there is no user nobody-of-that-name on this machine",
    )


def test_a_user_who_does_not_exist_at_a_site_whose_home_folders_are_theirs(place):
    place.user = "nobody-of-that-name"
    place.lines.append("c.JupyterHub.spawner_class = 'slurm'")
    assert place.wrong()["text"] == "there is no user nobody-of-that-name on this machine"


def test_an_address_that_this_machine_does_not_have(place):
    one = place.wrong("c.JupyterHub.hub_bind_url = 'http://192.0.2.1:8081'")
    assert one["name"] == "address"
    assert one["text"].startswith("the Hub cannot listen on 192.0.2.1: ")


def test_an_address_that_does_not_resolve(place):
    one = place.wrong("c.JupyterHub.hub_bind_url = 'http://hub.invalid:8081'")
    assert one["name"] == "address"
    assert one["text"].startswith("the Hub cannot listen on hub.invalid: ")


def test_a_memory_that_is_no_amount(place):
    place.lines.append("c.LocalQueueSpawner.req_memory = 'lots'")
    done = place.call()
    assert "Traceback" not in done.stdout + done.stderr


def test_an_error_in_a_class_of_the_site(place):
    one = place.wrong(
        "class Own(__import__('batchspawner').LocalQueueSpawner):",
        "    def connect_host(self, host):",
        "        return {}[host]",
        "c.JupyterHub.spawner_class = Own",
    )
    assert one["name"] == "check"
    assert one["text"].startswith("the check ended with KeyError: ")
    assert "jupyterhub_config.py, line " in one["text"]


def test_a_command_that_may_not_be_run_is_not_missing(place):
    queue = place.program("qsub", "#!/bin/sh\n")
    queue.chmod(0o644)
    for name in ("qstat", "qdel"):
        place.program(name, "#!/bin/sh\n")
    place.path = f"{place.bin}:{PYTHON.parent}"
    one = place.wrong("c.JupyterHub.spawner_class = 'pbs'")
    assert one["text"] == f"{queue} is there, but the user of the Hub may not run it"


def test_a_wrapper_that_may_not_be_run_is_not_missing(place):
    wrapper = place.program("our-singleuser", "#!/bin/sh\n")
    wrapper.chmod(0o644)
    one = place.wrong(f"c.LocalQueueSpawner.batchspawner_singleuser_cmd = {str(wrapper)!r}")
    assert one["name"] == "node"
    assert one["text"].startswith(f"{wrapper} cannot be run on ")
    assert one["text"].endswith(": Permission denied")


def test_without_a_job_the_script_is_rendered(place):
    place.lines.append("c.LocalQueueSpawner.batch_script = '#!/bin/sh\\n{cmd} {nonsense}\\n'")
    assert "nonsense" in place.wrong(job=False)["text"]


def test_9_a_sudo_rule_that_is_missing(place):
    place.program("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    one = place.wrong("c.LocalQueueSpawner.exec_prefix = 'sudo -E -u {username}'")
    assert one["name"] == "rights"
    assert "a password is required" in one["text"]
    assert "ALL=(%jupyterhub-users) NOPASSWD:SETENV: " in one["cure"]
    assert "/batchspawner-queue" in one["cure"]


def test_9_a_command_outside_the_path_of_sudo(place):
    place.program(
        "sudo", "#!/bin/sh\necho 'sudo: batchspawner-queue: command not found' >&2\nexit 1\n"
    )
    one = place.wrong("c.LocalQueueSpawner.exec_prefix = 'sudo -E -u {username}'")
    assert one["name"] == "rights"
    assert one["text"].startswith("sudo does not find batchspawner-queue: an administrator has to")
    assert re.match(r'Defaults:\w+ secure_path="/[^"]*:/usr/local/sbin:[^"]*:/bin"\n', one["cure"])


def test_10_a_scheduler_that_does_not_answer(place):
    place.program("batchspawner-queue", "#!/bin/sh\necho 'the disk is gone' >&2\nexit 1\n")
    one = place.wrong()
    assert one["name"] == "scheduler"
    assert one["text"].startswith("the local queue does not answer: ")
    assert "the disk is gone" in one["text"]


def test_11_a_template_that_cannot_be_filled(place):
    one = place.wrong("c.LocalQueueSpawner.batch_script = '#!/bin/sh\\n{cmd} {nonsense}\\n'")
    assert one["name"] == "script"
    assert "nonsense" in one["text"]


def test_12_a_template_that_forgets_the_server(place):
    one = place.wrong("c.LocalQueueSpawner.batch_script = '#!/bin/sh\\nsleep 9\\n'")
    assert one["text"] == "the job script does not contain the command that starts the server"
    assert one["cure"] == "write {cmd} into c.LocalQueueSpawner.batch_script"


def test_13_a_template_that_reveals_the_token(place):
    place.lines += [
        "class Own(__import__('batchspawner').LocalQueueSpawner):",
        "    @property",
        "    def req_prologue(self):",
        "        return f'export TOKEN={self.api_token}'",
        "c.JupyterHub.spawner_class = Own",
    ]
    wrong = [one for one in place.findings() if one["verdict"] == "wrong"]
    assert [one["name"] for one in wrong] == ["secrets"]
    assert wrong[0]["text"].startswith("the job script contains the token of the server")


def test_14_a_job_that_the_scheduler_refuses(place):
    one = place.wrong("c.LocalQueueSpawner.req_nprocs = '100000'")
    assert one["name"] == "submit"
    assert "The local queue refused the job" in one["text"]
    assert "c.LocalQueueSpawner.req_nprocs = '100000'   (is it right?)" in one["cure"]


def test_15_a_queue_in_which_the_job_waits_for_too_long(place):
    place.timeout = "4"
    filler = place.folder / "filler.sh"
    slots = json.loads(place.queue("info"))["slots"]
    filler.write_text(f"#!/bin/sh\n#QUEUE --slots={slots}\nsleep 60\n")
    job_id = place.queue("submit", str(filler)).strip()
    try:
        one = place.wrong()
    finally:
        place.queue("cancel", job_id)
        # Its exit status is that of the job.
        place.queue("wait", "--timeout", "20", job_id, check=False)
    assert one["name"] == "start"
    assert "has not started within 4 s; the local queue: it needs 1 of the queue's" in one["text"]
    assert one["cure"].startswith("Stop another server of yours")


def test_16_a_prologue_that_fails(place):
    one = place.wrong("c.LocalQueueSpawner.req_prologue = 'module load jupyter'")
    assert one["name"] == "start"
    assert "ran but reported nothing (failed (exit status 127)" in one["text"]
    assert "module: command not found" in one["text"]
    assert "c.LocalQueueSpawner.req_prologue" in one["cure"]


def test_17_a_wrapper_that_is_not_on_the_node(place):
    one = place.wrong("c.LocalQueueSpawner.batchspawner_singleuser_cmd = 'our-singleuser'")
    assert one["name"] == "node"
    assert one["text"].startswith("our-singleuser is not found on ")
    assert one["cure"].startswith("c.LocalQueueSpawner.batchspawner_singleuser_cmd = ")


def test_a_wrapper_whose_python_is_not_on_the_node(place):
    place.program("our-singleuser", "#!/opt/none/bin/python\n")
    one = place.wrong("c.LocalQueueSpawner.batchspawner_singleuser_cmd = 'our-singleuser'")
    assert one["name"] == "node"
    assert one["text"].startswith(f"{place.bin}/our-singleuser cannot be run on ")
    assert one["cure"].startswith(f"head -1 {place.bin}/our-singleuser")


def test_18_a_server_that_is_not_on_the_node(place):
    one = place.wrong("c.LocalQueueSpawner.cmd = ['/opt/none/jupyterhub-singleuser']")
    assert one["name"] == "node"
    assert one["text"].startswith("/opt/none/jupyterhub-singleuser is not found on ")


def test_19_an_older_jupyterhub_on_the_node(place):
    python = place.program(
        "oldpython",
        f'#!/bin/sh\nexec {PYTHON} -c \'print("""{{"jupyterhub": "1.5.0", '
        '"jupyterlab": "3.0"}""")\'\n',
    )
    place.program("jupyterhub-singleuser", f"#!{python}\n")
    one = place.wrong()
    assert one["name"] == "node"
    assert "has JupyterHub 1.5.0, and the Hub is " in one["text"]
    assert one["cure"].startswith('pip install "jupyterhub==')


def test_20_a_home_folder_that_the_node_does_not_have(place):
    one = place.wrong("c.LocalQueueSpawner.req_prologue = 'export HOME=/nowhere'")
    assert one["text"] == "the home folder /nowhere does not exist on the node"
    assert one["cure"].startswith("c.LocalQueueSpawner.req_homedir = ")


def test_21_a_hub_whose_name_the_node_does_not_know(place):
    one = place.wrong("c.JupyterHub.hub_connect_ip = 'hub.invalid'")
    assert one["name"] == "hub"
    assert one["text"].startswith(
        f"the node cannot resolve the name in http://hub.invalid:{place.port}/hub/api: "
    )
    assert one["cure"].startswith("c.JupyterHub.hub_connect_ip = ")


def test_22_a_hub_whose_port_is_closed_to_the_node(place):
    closed = free_port()
    one = place.wrong(f"c.JupyterHub.hub_connect_url = 'http://127.0.0.1:{closed}'")
    assert one["name"] == "hub"
    assert f"cannot connect to http://127.0.0.1:{closed}/hub/api (at 127.0.0.1)" in one["text"]
    assert 'c.JupyterHub.hub_ip = "0.0.0.0"' in one["cure"]


def test_23_something_else_at_the_hubs_address(place, other_server):
    one = place.wrong(f"c.JupyterHub.hub_connect_url = 'http://127.0.0.1:{other_server}'")
    assert one["name"] == "hub"
    assert "is not a JupyterHub: HTTP 404" in one["text"]


def test_24_ports_that_are_all_taken(place):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place.lines.append(f"c.LocalQueueSpawner.port_range = ({port}, {port})")
        one = place.wrong()
    assert one["name"] == "port"
    assert one["text"].startswith(f"no port of {port}-{port} is free on the node")


def test_25_a_job_that_does_not_get_the_environment(place):
    one = place.wrong(
        "c.LocalQueueSpawner.req_prologue = 'unset JUPYTERHUB_API_URL JUPYTERHUB_API_TOKEN'"
    )
    assert one["name"] == "environment"
    assert one["text"] == "the job does not get JUPYTERHUB_API_TOKEN, JUPYTERHUB_API_URL"


def test_26_a_node_that_the_hub_cannot_reach(place):
    one = place.wrong(
        "class Own(__import__('batchspawner').LocalQueueSpawner):",
        "    def connect_host(self, host):",
        "        return 'node.invalid'",
        "c.JupyterHub.spawner_class = Own",
    )
    assert one["name"] == "visit"
    assert one["text"].startswith("the Hub cannot reach the job at node.invalid:")
    assert "c.Own.trust_reported_host = True" in one["cure"]


def test_27_a_token_on_a_command_line_of_the_node(place):
    one = place.wrong(
        "class Own(__import__('batchspawner').LocalQueueSpawner):",
        "    pass",
        "Own.req_prologue = 'sh -c \"sleep 20; : $JUPYTERHUB_API_TOKEN\" >/dev/null 2>&1 &'",
        "c.JupyterHub.spawner_class = Own",
    )
    assert one["name"] == "secrets"
    assert one["text"].startswith("everybody on the node can read the token of the server: sh -c")


def test_a_hub_that_runs_is_found_where_it_is(place):
    """The check asks what listens on the Hub's port, not itself."""
    code = (
        "import http.server\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        '        self.wfile.write(b\'{"version": "6.0.0"}\')\n'
        "    def log_message(self, *_): pass\n"
        f"http.server.HTTPServer(('127.0.0.1', {place.port}), H).serve_forever()\n"
    )
    import subprocess

    with subprocess.Popen([sys.executable, "-c", code]) as hub:
        try:
            assert {one["verdict"] for one in place.findings()} == {"ok"}
        finally:
            hub.kill()


@pytest.fixture
def other_server():
    import http.server
    import threading

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()
