from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchspawner import singleuser
from tests.hubs import free_port

SCRIPT = Path(singleuser.__file__)
TOKEN = "a-secret-token"
SHOW = "import os; print(os.environ.get('JUPYTERHUB_SERVICE_URL'))"


class FakeHub:
    """Answers reports with the given statuses, one after the other, the last one for ever."""

    def __init__(self, *statuses, message="no"):
        hub = self
        self.reports, self.statuses, self.message = [], list(statuses) or [201], message

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.reports.append((self.path, self.headers["Authorization"], json.loads(body)))
                status = hub.statuses.pop(0) if len(hub.statuses) > 1 else hub.statuses[0]
                answer = json.dumps({"message": hub.message}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hub/api"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub():
    hubs = []

    def make(*statuses, **more):
        hubs.append(FakeHub(*statuses, **more))
        return hubs[-1]

    yield make
    for one in hubs:
        one.close()


def wrap(url, *command, python=sys.executable, **environment):
    """Run the wrapper as a job would."""
    env = {
        "PATH": os.environ["PATH"],
        "JUPYTERHUB_API_URL": url,
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0/user/ada/",
        **environment,
    }
    env = {name: value for name, value in env.items() if value is not None}
    done = subprocess.run(
        [python, SCRIPT, *command], env=env, capture_output=True, text=True, timeout=30
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_the_server_gets_the_port_that_the_hub_was_told(hub):
    one = hub()
    done = wrap(one.url, sys.executable, "-c", SHOW)
    ((path, authorization, body),) = one.reports
    assert (path, authorization) == ("/hub/api/batchspawner", f"token {TOKEN}")
    assert body == {"port": body["port"], "host": "127.0.0.1"}
    assert done.stdout == f"http://127.0.0.1:{body['port']}/user/ada/\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_may_be_any_program_with_any_arguments(hub):
    done = wrap(hub().url, "sh", "-c", 'echo "$@"; exit 7', "-", "a b", "--x=$y")
    assert (done.returncode, done.stdout) == (7, "a b --x=$y\n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://0.0.0.0:0/user/ada/", "http://0.0.0.0:{}/user/ada/"),
        ("http://:0/user/ada/", "http://0.0.0.0:{}/user/ada/"),
        ("http://None:0/user/ada/", "http://0.0.0.0:{}/user/ada/"),
        ("http://localhost:0/", "http://localhost:{}/"),
        ("https://127.0.0.1:0/user/ada/", "https://127.0.0.1:{}/user/ada/"),
    ],
)
def test_the_address_to_listen_on_stays_as_it_was(hub, url, shown):
    one = hub()
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL=url)
    assert done.stdout.strip() == shown.format(one.reports[0][2]["port"])


def test_an_ipv6_address_keeps_its_brackets(hub):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    one = hub()
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL="http://[::1]:0/x/")
    assert done.stdout == f"http://[::1]:{one.reports[0][2]['port']}/x/\n"


def test_a_unix_socket_needs_no_port_and_no_report(hub):
    one, url = hub(), "http+unix://%2Ftmp%2Fx.sock/user/ada/"
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL=url)
    assert (done.stdout.strip(), one.reports) == (url, [])


def test_a_port_that_is_configured_is_kept(hub):
    one, port = hub(), free_port()
    url = f"http://127.0.0.1:{port}/"
    assert wrap(one.url, "true", JUPYTERHUB_SERVICE_URL=url).returncode == 0
    assert one.reports[0][2]["port"] == port


def test_an_old_hub_gets_the_port_on_the_command_line(hub):
    one = hub()
    done = wrap(one.url, "echo", "server", JUPYTERHUB_SERVICE_URL=None)
    assert done.stdout == f"server --port={one.reports[0][2]['port']}\n"


def test_the_port_is_chosen_from_the_range_that_is_free(hub):
    one, first = hub(), free_port()
    with socket.create_server(("127.0.0.1", first)):
        done = wrap(one.url, "true", BATCHSPAWNER_PORT_RANGE=f"{first}-{first + 1}")
    assert (done.returncode, one.reports[0][2]["port"]) == (0, first + 1)


def test_a_range_without_a_free_port_is_named(hub):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = wrap(hub().url, "true", BATCHSPAWNER_PORT_RANGE=f"{port}-{port}")
    assert done.returncode == singleuser.EX_UNAVAILABLE
    assert f"no port is free on 127.0.0.1; tried {port}" in done.stderr


@pytest.mark.parametrize("text", ["9000", "a-b", "9000-8000", "0-10", "1-70000", "-5"])
def test_a_range_that_is_none_is_refused(hub, text):
    one = hub()
    done = wrap(one.url, "true", BATCHSPAWNER_PORT_RANGE=text)
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert "BATCHSPAWNER_PORT_RANGE" in done.stderr


def test_without_a_range_ports_of_outgoing_connections_are_avoided():
    start = singleuser.ephemeral_start()
    *chosen, last = singleuser.candidates({})
    assert (len(set(chosen)), last) == (50, 0)
    assert all(10000 <= port < start for port in chosen)


def test_the_port_is_held_while_the_hub_is_told():
    held, port = singleuser.hold_port("127.0.0.1", [0])
    with held, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_a_hub_that_is_busy_is_asked_again(hub):
    one = hub(503, 429, 201)
    done = wrap(one.url, "true")
    assert (done.returncode, len(one.reports)) == (0, 3)
    assert done.stderr.count("cannot reach the Hub") == 1


def test_a_hub_that_comes_back_later_is_reached():
    port = free_port()
    url = f"http://127.0.0.1:{port}/hub/api"
    log, env = subprocess.PIPE, {**os.environ, "JUPYTERHUB_API_URL": url}
    env |= {"JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0/"}
    job = subprocess.Popen([sys.executable, SCRIPT, "true"], env=env, stderr=log, text=True)
    assert "Connection refused; trying again until" in job.stderr.readline()
    server = http.server.HTTPServer(("127.0.0.1", port), _created())
    server.timeout = 20
    server.handle_request()
    server.server_close()
    assert job.wait(20) == 0
    job.stderr.close()


def _created():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


def test_a_hub_that_cannot_be_reached_ends_the_job_with_what_to_check():
    url = f"http://127.0.0.1:{free_port()}/hub/api"
    done = wrap(url, "true", BATCHSPAWNER_REPORT_TIMEOUT="0.5")
    assert done.returncode == singleuser.EX_TEMPFAIL
    assert f"cannot reach the Hub at {url}" in done.stderr
    assert "firewall" in done.stderr


def test_a_hub_that_never_answers_does_not_hold_the_job(monkeypatch):
    monkeypatch.setattr(singleuser, "TRY_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hub/api"
        with pytest.raises(singleuser.Unreachable, match="timed out"):
            singleuser.post(url, TOKEN, 1234, {})


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(403, "no longer valid"), (404, "import batchspawner"), (400, "bad port"), (302, "302")],
)
def test_a_hub_that_refuses_is_not_asked_again(hub, status, meaning):
    one = hub(status, message="bad port")
    done = wrap(one.url, "true")
    assert (done.returncode, len(one.reports)) == (singleuser.EX_UNAVAILABLE, 1)
    assert meaning in done.stderr


def test_a_proxy_of_the_environment_is_not_used(hub):
    one = hub()
    nowhere = "http://127.0.0.1:1"
    assert wrap(one.url, "true", http_proxy=nowhere, HTTP_PROXY=nowhere).returncode == 0


def test_a_job_without_the_hubs_environment_says_so(hub):
    done = wrap(hub().url, "true", JUPYTERHUB_API_TOKEN=None)
    assert done.returncode == singleuser.EX_CONFIG
    assert "keepvars" in done.stderr


def test_a_command_that_is_not_there_is_named_with_the_path(hub):
    done = wrap(hub().url, "no-such-server")
    assert done.returncode == 127
    assert "no-such-server is not found on this node. PATH is" in done.stderr


def test_a_command_that_cannot_be_run_is_named(hub, tmp_path):
    file = tmp_path / "server"
    file.write_text("")
    done = wrap(hub().url, str(file))
    assert done.returncode == 126
    assert f"{file} cannot be started: Permission denied" in done.stderr


def test_a_runtime_folder_of_another_host_is_forgotten(hub, tmp_path):
    show = "import os; print(os.environ.get('XDG_RUNTIME_DIR'))"
    url = hub().url
    gone = wrap(url, sys.executable, "-c", show, XDG_RUNTIME_DIR=str(tmp_path / "gone"))
    kept = wrap(url, sys.executable, "-c", show, XDG_RUNTIME_DIR=str(tmp_path))
    assert (gone.stdout, kept.stdout) == ("None\n", f"{tmp_path}\n")


def test_help_and_usage():
    assert wrap("", "--help").stdout.startswith("Start a user's server inside a job")
    assert wrap("").returncode == singleuser.EX_USAGE


PYTHONS = [
    path
    for minor in range(6, 14)
    if (path := shutil.which(f"python3.{minor}"))
    and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
]


@pytest.mark.parametrize("python", PYTHONS)
def test_it_runs_as_a_lone_file_on_every_python(hub, python):
    one = hub()
    assert wrap(one.url, "true", python=python).returncode == 0
    assert len(one.reports) == 1
