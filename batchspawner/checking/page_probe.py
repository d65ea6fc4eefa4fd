"""The second part of the test job's program: start the user's server, and open a page of it.

A Hub of its own, which listens on the node only, stands in for the real one: the token of the
test is not valid anywhere else. As `probe`, it needs only the standard library of a Python >= 3.6.
"""

import contextlib
import http.client
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
from typing import IO, Any, Dict, Tuple  # noqa: F401  (in a comment)
from urllib.parse import urljoin, urlsplit

PAGE_POLL_INTERVAL_S = 0.2
PAGE_REQUEST_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
MAX_REDIRECTS = 6
MAX_LOG_BYTES = 20000
MAX_LOG_LINES = 60
NOT_YET = (502, 503, 504)


class NodeHub(http.server.HTTPServer):
    """A Hub that knows one server and its token; both are made up on this node."""

    def __init__(self, user: str) -> None:
        super().__init__(("127.0.0.1", 0), NodeHubHandler)
        self.user = user
        # Others on this node can connect: what they cannot know keeps the server ours.
        self.token = os.urandom(32).hex()
        self.place = "/%s/hub/api" % os.urandom(16).hex()
        self.api_url = "http://127.0.0.1:%d%s" % (self.server_address[1], self.place)
        self.port = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class NodeHubHandler(http.server.BaseHTTPRequestHandler):
    """The part of the Hub's API that a server uses."""

    server = None  # type: NodeHub  # type: ignore[assignment]
    timeout = 5.0

    def do_GET(self) -> None:
        """Answer with the version, or with the user whose server it is."""
        place = self.server.place
        if self.path.rstrip("/") == place:
            self.reply(200, {"version": ""})
        elif urlsplit(self.path).path == place + "/user" and self.is_ours():
            scopes = ["access:servers", "access:servers!user=%s" % self.server.user]
            scopes.append("access:servers!server=%s/" % self.server.user)
            user = {"kind": "user", "name": self.server.user, "admin": False, "groups": []}
            self.reply(200, dict(user, scopes=scopes, session_id=None))
        else:
            self.reply(404, {"status": 404})

    def do_POST(self) -> None:
        """Take the port that the wrapper reports, and any report of activity."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not (self.path.startswith(self.server.place) and self.is_ours()):
            self.reply(403, {"status": 403})
            return
        if self.path == self.server.place + "/batchspawner":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.server.port = int(json.loads(body.decode())["port"])
        self.reply(201, {"message": "check"})

    def is_ours(self) -> bool:
        """Return whether the request carries the token of the server."""
        return self.headers.get("Authorization", "").split(" ")[-1] == self.server.token

    def reply(self, status: int, body: Dict[str, Any]) -> None:
        """Answer in JSON, as the Hub of the version that the server has."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


def open_page(request: Dict[str, Any]) -> Dict[str, Any]:
    """Start the server as the job script would, and return how it answers its owner."""
    if any(
        os.environ.get(name) for name in ("BATCHSPAWNER_CERTIFICATES", "JUPYTERHUB_SSL_KEYFILE")
    ):
        return {"step": "ssl"}
    hub = NodeHub(
        os.environ.get("JUPYTERHUB_USER") or request["claimed"].get("JUPYTERHUB_USER", "")
    )
    environment = server_environment(hub, request["claimed"])
    with contextlib.closing(hub.socket), tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            ["sh", "-c", "exec " + request["command"]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            facts = visit_server(server, hub, environment, request["page_timeout_s"])
        finally:
            stop(server)
            hub.shutdown()
        facts["log"] = end_of(log)
        return facts


def server_environment(hub: NodeHub, claimed: Dict[str, str]) -> Dict[str, str]:
    """Return the environment of this job, with the Hub on this node in place of the real one."""
    environment = dict(claimed)
    environment.update(os.environ)
    for name in ("BATCHSPAWNER_PRIVATE_FILE", "BATCHSPAWNER_NEXT_CODE_FILE"):
        environment.pop(name, None)
    environment.update(
        JUPYTERHUB_API_URL=hub.api_url,
        JUPYTERHUB_API_TOKEN=hub.token,
        JPY_API_TOKEN=hub.token,
        JUPYTERHUB_ACTIVITY_URL="%s/users/%s/activity" % (hub.api_url, hub.user),
    )
    return environment


def visit_server(
    server: "subprocess.Popen[bytes]", hub: NodeHub, environment: Dict[str, str], timeout: float
) -> Dict[str, Any]:
    """Request the server's first page until there is an answer that counts."""
    began, facts = time.time(), {"step": "port"}  # type: Tuple[float, Dict[str, Any]]
    service = urlsplit(environment.get("JUPYTERHUB_SERVICE_URL", ""))
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX") or service.path or "/"
    host, _, fixed = service.netloc.rpartition(":")
    if host.strip("[]").lower() in ("", "0.0.0.0", "none", "::", "*"):  # noqa: S104
        host = "127.0.0.1"
    while time.time() - began < timeout:
        status = server.poll()
        if status is not None:
            return dict(facts, step="ended", status=status)
        port = hub.port or int(fixed if fixed.isdigit() else 0)
        if port:
            facts["step"] = "listen"
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = follow("%s:%d" % (host, port), prefix, hub.token)
                if answer["status"] not in NOT_YET:
                    return dict(answer, step="done", page_seconds=time.time() - began)
        time.sleep(PAGE_POLL_INTERVAL_S)
    return facts


def follow(address: str, path: str, token: str) -> Dict[str, Any]:
    """Request a page as the owner of the server; follow the server's redirects to itself."""
    for _ in range(MAX_REDIRECTS):
        connection = http.client.HTTPConnection(address, timeout=PAGE_REQUEST_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": "token %s" % token})
            answer = connection.getresponse()
            target = answer.getheader("Location") or ""
            found = {"status": answer.status, "path": path, "target": target}
        there = urlsplit(urljoin("http://%s%s" % (address, path), target))
        # A request for a login leads to the Hub.
        is_login = "/oauth2/authorize" in there.path or there.path.endswith("/hub/login")
        if not 300 <= answer.status < 400 or there.netloc != address or is_login:
            return found
        path = there.path + ("?" + there.query if there.query else "")
    return found


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server."""
    if server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def end_of(log: "IO[bytes]") -> str:
    """Return the last lines of the server's log, without a token."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
    lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(line for line in lines[-MAX_LOG_LINES:] if "token=" not in line)
