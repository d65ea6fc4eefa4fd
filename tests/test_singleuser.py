from __future__ import annotations

import errno
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchspawner import singleuser
from tests.ports import free_port

SCRIPT = Path(singleuser.__file__)
TOKEN = "a-secret-token"
SHOW = "import os; print(os.environ.get('JUPYTERHUB_SERVICE_URL'))"


class FakeHub:
    """Answers reports with the given statuses, one after the other, the last one from then on."""

    def __init__(self, *statuses, message="no", address="127.0.0.1", port=0, tls=None, **more):
        hub = self
        self.reports, self.statuses, self.message = [], list(statuses) or [201], message

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.reports.append((self.path, self.headers["Authorization"], json.loads(body)))
                status = hub.statuses.pop(0) if len(hub.statuses) > 1 else hub.statuses[0]
                answer = json.dumps({"message": hub.message, **more}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def handle_error(self, *_):
                pass

        self.server = Server((address, port), Handler)
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self.server.server_port}/hub/api"
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.server.server_port}/hub/api"
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


def _has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


def environment_of_a_job(url, **more):
    env = {
        "PATH": os.environ["PATH"],
        "JUPYTERHUB_API_URL": url,
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0/user/ada/",
        **more,
    }
    return {name: value for name, value in env.items() if value is not None}


def wrap(url, *command, python=sys.executable, **more):
    """Run the wrapper as a job would."""
    env = environment_of_a_job(url, **more)
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
        ("http://127.0.0.1/", "http://127.0.0.1:{}/"),
    ],
)
def test_the_address_to_listen_on_stays_as_it_was(hub, url, shown):
    one = hub()
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL=url)
    assert done.stdout.strip() == shown.format(one.reports[0][2]["port"])


@needs_ipv6
@pytest.mark.parametrize("written", ["[::1]", "::1"])
def test_an_ipv6_address_has_brackets_even_where_an_old_hub_forgot_them(hub, written):
    one, url = hub(), f"http://{written}:0/x/"
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL=url)
    assert done.stdout == f"http://[::1]:{one.reports[0][2]['port']}/x/\n"


@needs_ipv6
def test_a_server_on_all_addresses_is_where_an_ipv6_hub_finds_it(hub):
    one = hub(address="::1")
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL="http://:0/x/")
    (body,) = [body for _, _, body in one.reports]
    assert body == {"port": body["port"], "host": "::1"}
    assert done.stdout == f"http://[::]:{body['port']}/x/\n"


def test_an_address_of_another_node_is_refused(hub):
    one = hub()
    done = wrap(one.url, "true", JUPYTERHUB_SERVICE_URL="http://192.0.2.1:0/")
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert f"192.0.2.1 is no address of {socket.gethostname()}" in done.stderr


def test_a_unix_socket_needs_no_port_and_no_report(hub):
    one, url = hub(), "http+unix://%2Ftmp%2Fx.sock/user/ada/"
    done = wrap(one.url, sys.executable, "-c", SHOW, JUPYTERHUB_SERVICE_URL=url)
    assert (done.stdout.strip(), one.reports) == (url, [])


def test_a_port_that_is_configured_is_used(hub):
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
    assert done.returncode == singleuser.EX_OSERR
    assert done.stderr == (
        f"batchspawner-singleuser: all ports of BATCHSPAWNER_PORT_RANGE {port}-{port} are in use "
        f"on {socket.gethostname()}\n"
    )


def test_a_configured_port_that_is_taken_is_named(hub):
    one = hub()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = wrap(one.url, "true", JUPYTERHUB_SERVICE_URL=f"http://127.0.0.1:{port}/")
    assert (done.returncode, one.reports) == (singleuser.EX_OSERR, [])
    assert f"port {port} of JUPYTERHUB_SERVICE_URL is in use" in done.stderr


@pytest.mark.parametrize("text", ["9000", "a-b", "9000-8000", "0-10", "1-70000", "-5"])
def test_a_range_that_is_none_is_refused(hub, text):
    one = hub()
    done = wrap(one.url, "true", BATCHSPAWNER_PORT_RANGE=text)
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert "BATCHSPAWNER_PORT_RANGE" in done.stderr


def test_without_a_range_ports_of_outgoing_connections_are_avoided():
    start = singleuser.ephemeral_start()
    ports, _ = singleuser.candidates(0, {})
    assert (len(set(ports)), ports[50:]) == (51, [0, 0])
    assert all(10000 <= port < start for port in ports[:50])


def test_two_jobs_never_hold_the_same_port():
    port = free_port()
    env = {"BATCHSPAWNER_PORT_RANGE": f"{port}-{port}"}
    held, taken = singleuser.hold_port("127.0.0.1", 0, env)
    with held, pytest.raises(singleuser.Failure, match="in use"):
        singleuser.hold_port("127.0.0.1", 0, env)
    assert taken == port


def test_a_port_can_be_taken_again_once_it_is_released():
    held, port = singleuser.hold_port("", 0, {})
    held.close()
    again, same = singleuser.hold_port("", port, {})
    again.close()
    assert same == port


def test_a_hub_that_is_busy_is_asked_again(hub):
    one = hub(503, 429, 201)
    done = wrap(one.url, "true")
    assert (done.returncode, len(one.reports)) == (0, 3)
    assert done.stderr.count("\n") == 1
    assert "it answered 503 Service Unavailable: no; trying again until" in done.stderr


def test_a_hub_that_comes_back_later_is_reached(hub):
    port = free_port()
    env = environment_of_a_job(f"http://127.0.0.1:{port}/hub/api")
    job = subprocess.Popen([sys.executable, SCRIPT, "true"], env=env, stderr=-1, text=True)
    with job:
        complaint = job.stderr.readline()
        one = hub(port=port)
        assert (job.wait(20), job.stderr.read()) == (0, "")
    assert len(one.reports) == 1
    assert "Connection refused; trying again until" in complaint


def test_a_hub_that_cannot_be_reached_ends_the_job_with_what_to_check():
    url = f"http://127.0.0.1:{free_port()}/hub/api"
    done = wrap(url, "true", BATCHSPAWNER_REPORT_TIMEOUT="0.5")
    assert done.returncode == singleuser.EX_TEMPFAIL
    assert f"cannot reach the Hub at {url}" in done.stderr
    assert "firewall" in done.stderr


def test_a_hub_that_never_answers_does_not_hold_the_job(monkeypatch, capsys):
    monkeypatch.setattr(singleuser, "REQUEST_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/hub/api",
            "JUPYTERHUB_API_TOKEN": TOKEN,
            "BATCHSPAWNER_REPORT_TIMEOUT": "1",
        }
        with pytest.raises(singleuser.Failure, match=r"timed out. Tried for 1 s") as failure:
            singleuser.report(1234, env)
    assert failure.value.status == singleuser.EX_TEMPFAIL
    assert capsys.readouterr().err.count("timed out; trying again until") == 1


@pytest.mark.parametrize(
    ("jitter", "pauses"),
    [
        (1.0, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0, 10.0]),
        (0.5, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]),
    ],
)
def test_the_pauses_between_two_tries_grow_and_stay_bounded(monkeypatch, jitter, pauses):
    tries, slept = [], []

    def refuse(*_):
        tries.append(1)
        assert len(tries) < 50
        raise singleuser.Unreachable("Connection refused")

    monkeypatch.setattr(singleuser, "post", refuse)
    monkeypatch.setattr(singleuser.time, "sleep", slept.append)
    monkeypatch.setattr(singleuser.time, "monotonic", lambda: 1000.0 + sum(slept))
    monkeypatch.setattr(
        singleuser.random, "uniform", lambda low, high: {0.5: low, 1.0: high}[jitter]
    )
    env = environment_of_a_job("http://hub:8081/hub/api", BATCHSPAWNER_REPORT_TIMEOUT="61")
    with pytest.raises(singleuser.Failure, match="Tried for 61 s"):
        singleuser.report(1234, env)
    assert (slept, len(tries)) == (pytest.approx(pauses), len(pauses) + 1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Files of a Hub and of a server, from two authorities that trust each other."""
    certipy = pytest.importorskip("certipy")
    maker = certipy.Certipy(store_dir=str(tmp_path_factory.mktemp("tls")))
    trust = maker.trust_from_graph({"hub-ca": ["jobs-ca"], "jobs-ca": ["hub-ca"]})
    files = {}
    for name, authority in (("hub", "hub-ca"), ("job", "jobs-ca")):
        pair = maker.create_signed_pair(name, authority, alt_names=["DNS:localhost"])["files"]
        files[name] = {"cafile": trust[authority], "certfile": pair["cert"], "keyfile": pair["key"]}
    return files


@pytest.fixture
def tls_hub(hub, certificates):
    """A Hub with internal_ssl: it wants to see a certificate of the job."""
    files = certificates["hub"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["cafile"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files["certfile"], files["keyfile"])
    return hub(tls=context)


def of_job(files):
    return {
        "JUPYTERHUB_SSL_CLIENT_CA": files["cafile"],
        "JUPYTERHUB_SSL_CERTFILE": files["certfile"],
        "JUPYTERHUB_SSL_KEYFILE": files["keyfile"],
    }


def test_a_hub_with_internal_ssl_and_a_job_trust_each_other(tls_hub, certificates):
    done = wrap(tls_hub.url, "true", **of_job(certificates["job"]))
    assert (done.returncode, done.stderr, len(tls_hub.reports)) == (0, "", 1)


def test_a_hub_that_cannot_be_trusted_learns_nothing(tls_hub):
    done = wrap(tls_hub.url, "true")
    assert (done.returncode, tls_hub.reports) == (singleuser.EX_UNAVAILABLE, [])
    assert f"cannot trust the Hub at {tls_hub.url}" in done.stderr


def test_certificates_that_the_node_cannot_read_are_named(tls_hub, certificates, tmp_path):
    files = {**certificates["job"], "keyfile": str(tmp_path / "gone.key")}
    done = wrap(tls_hub.url, "true", **of_job(files))
    assert done.returncode == singleuser.EX_CONFIG
    assert f"{tmp_path / 'gone.key'}: No such file or directory" in done.stderr


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


@pytest.mark.parametrize("name", ["JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN"])
def test_a_job_without_the_hubs_environment_says_so(hub, name):
    done = wrap(hub().url, "true", **{name: None})
    assert done.returncode == singleuser.EX_CONFIG
    assert "keepvars" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JUPYTERHUB_API_URL", "hub:8081/hub/api"),
        ("JUPYTERHUB_API_URL", "http://hub:99999/hub/api"),
        ("JUPYTERHUB_API_TOKEN", f"{TOKEN}\nX-Other: 1"),
        ("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:99999/"),
        ("BATCHSPAWNER_REPORT_TIMEOUT", "soon"),
        ("BATCHSPAWNER_REPORT_TIMEOUT", "nan"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(hub, name, value):
    one = hub()
    done = wrap(one.url, "true", **{name: value})
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert done.stderr.startswith(f"batchspawner-singleuser: {name} ")


def test_a_command_that_is_not_there_is_named_with_the_path(hub):
    done = wrap(hub().url, "no-such-server")
    assert done.returncode == 127
    assert "no-such-server is not found on this node. PATH is" in done.stderr


def test_a_folder_of_path_that_is_closed_to_the_user_does_not_hide_that_nothing_is_there(
    monkeypatch,
):
    def refuse(program, argv):
        # What execvp says when it may not enter one folder and the others hold nothing.
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "execvp", refuse)
    with pytest.raises(singleuser.Failure, match="no-such-server is not found on") as failure:
        singleuser.become(["no-such-server"])
    assert failure.value.status == 127


def test_a_command_that_cannot_be_run_is_named(hub, tmp_path):
    file = tmp_path / "server"
    file.write_text("")
    done = wrap(hub().url, str(file))
    assert done.returncode == 126
    assert f"{file} cannot be started: Permission denied" in done.stderr


def test_a_script_whose_interpreter_is_gone_is_not_called_missing(hub, tmp_path):
    file = tmp_path / "server"
    file.write_text(f"#!{tmp_path}/moved/python\n")
    file.chmod(0o755)
    done = wrap(hub().url, "server", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 127
    assert f"{file} cannot be started: this node lacks the interpreter" in done.stderr


def test_a_runtime_folder_of_another_host_is_forgotten(hub, tmp_path):
    show = "import os; print(os.environ.get('XDG_RUNTIME_DIR'))"
    url = hub().url
    gone = wrap(url, sys.executable, "-c", show, XDG_RUNTIME_DIR=str(tmp_path / "gone"))
    there = wrap(url, sys.executable, "-c", show, XDG_RUNTIME_DIR=str(tmp_path))
    assert (gone.stdout, there.stdout) == ("None\n", f"{tmp_path}\n")


def test_help_and_usage():
    assert wrap("", "--help").stdout.startswith("Start a user's server inside a job")
    assert wrap("").returncode == 2


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
