"""A Hub with `internal_ssl`, whose servers and clients check each other's certificates."""

from __future__ import annotations

import os
import socket
import ssl
import sys

import pytest
import requests

from tests.hub.alone import own_hub
from tests.hubs import wait_for

CONFIG = """
c.JupyterHub.internal_ssl = True
c.JupyterHub.internal_certs_location = "{folder}/internal-ssl"
c.JupyterHub.hub_bind_url = c.JupyterHub.hub_bind_url.replace("http:", "https:")
c.ConfigurableHTTPProxy.api_url = c.ConfigurableHTTPProxy.api_url.replace("http:", "https:")
c.Spawner.ssl_alt_names_include_local = False
"""


@pytest.fixture
def hub(site, tmp_path):
    with own_hub(site, tmp_path, CONFIG.replace("{folder}", str(tmp_path))) as one:
        yield one


def test_a_server_has_a_certificate_for_the_host_that_its_job_got(hub):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    assert hub.kernels(user).status_code == 200
    state = hub.state(user)
    assert names_of(certificate_at(hub, state)) == {state["job_host"]}


def test_nobody_without_a_certificate_speaks_with_a_server(hub):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    state = hub.state(user)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://{state['job_host']}:{state['job_port']}/", timeout=300)
    wait_for(lambda: hub.kernels(user).status_code == 200, 10, "the server to live on")


def context_of(hub) -> ssl.SSLContext:
    """Return the TLS context of the Hub, with its own certificate."""
    folder = hub.folder / "internal-ssl"
    context = ssl.create_default_context(cafile=folder / "hub-ca_trust.crt")
    pair = folder / "hub-internal" / "hub-internal"
    context.load_cert_chain(f"{pair}.crt", f"{pair}.key")
    return context


def certificate_at(hub, state) -> dict:
    """Return the certificate of a server, after its name was verified."""
    place = (state["job_host"], state["job_port"])
    with (
        socket.create_connection(place, timeout=300) as plain,
        context_of(hub).wrap_socket(plain, server_hostname=place[0]) as secured,
    ):
        return secured.getpeercert()


def names_of(certificate) -> set[str]:
    return {name for _, name in certificate["subjectAltName"]}


WRAPPED = {"local": "batchspawner.LocalQueueSpawner", "slurm": "batchspawner.SlurmSpawner"}
MORE = """
c.JupyterHub.allow_named_servers = True
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.profiles = [{"display_name": "One", "spawner": "{spawner}"}]
"""


def test_so_has_each_of_two_servers_of_a_user_behind_a_wrapper(site, tmp_path):
    if site.name not in WRAPPED:
        pytest.skip("shown on the local queue and on Slurm")
    config = CONFIG.replace("{folder}", str(tmp_path))
    more = config + MORE.replace("{spawner}", WRAPPED[site.name])
    with own_hub(site, tmp_path, more) as hub:
        user = hub.users[0]
        hub.begin(user)
        hub.api("POST", f"users/{user}/servers/second", json={})
        hub.wait_ready(user)
        wait_for(lambda: named(hub, user, "second").get("ready"), 60, "the second server")
        headers = {"Authorization": f"token {hub.token}"}
        for name in (user, f"{user}/second"):
            url = f"{hub.url}/user/{name}/api/status"
            assert requests.get(url, headers=headers, timeout=300).status_code == 200


def named(hub, user: str, name: str) -> dict:
    """Return what the Hub says of a user's named server."""
    return hub.api("GET", f"users/{user}").json()["servers"].get(name, {})


# Another user of the node, who has a certificate for it as well: that of their own server.
BESIEGED = """
import ctypes, http.server, os, ssl, time
port = int(os.environ["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0])
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(os.environ["JUPYTERHUB_SSL_CERTFILE"], os.environ["JUPYTERHUB_SSL_KEYFILE"])
if os.fork():
    time.sleep(600)
os.setuid(65534)
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG
server = http.server.HTTPServer(("", port), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_a_certificate_for_the_same_node_makes_nobody_the_server_of_somebody_else(site, tmp_path):
    if site.name != "local":
        pytest.skip("shown on the local queue")
    server = tmp_path / "server"
    server.write_text(f"#!{sys.executable}\n{BESIEGED}")
    server.chmod(0o755)
    config = CONFIG.replace("{folder}", str(tmp_path))
    with own_hub(site, tmp_path, f"{config}c.Spawner.cmd = [{str(server)!r}]\n") as hub:
        hub.begin(hub.users[0])
        hub.wait_stopped(hub.users[0], 60)
        said = hub.log.read_text()
        # The guard that the wrapper left has ended it.
        assert "ended before its server came up: failed (exit status 143)" in said
        assert "listens on port" not in said
