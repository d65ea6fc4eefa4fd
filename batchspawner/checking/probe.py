"""The program of the test job of `batchspawner check`: what a job sees of its node and the Hub.

Its source travels in the job script, because this package may not be installed on the node. It
needs only the standard library of a Python >= 3.6.
"""

import contextlib
import glob
import hashlib
import http.client
import json
import os
import platform
import random
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional
from urllib.parse import urlsplit

Facts = Dict[str, Any]

MARK = "BATCHSPAWNER-CHECK "
TIMEOUT_S = 8.0
LIFETIME_S = 90.0

WANTED = ("jupyterhub", "batchspawner", "jupyterlab", "notebook", "jupyter_server")
VERSIONS = """
import json, sys
try:
    from importlib.metadata import version
except ImportError:
    from importlib_metadata import version
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except Exception:
        found[name] = ""
print(json.dumps(found))
"""


def main(request: Facts, open_page: Callable[[Facts], Facts]) -> None:
    """Collect the facts, report them by log and by HTTP, and wait for the Hub to connect."""
    facts = collect(request, open_page)
    listener, facts["port"], facts["port_error"] = listen(request.get("ports") or [])
    print(MARK + json.dumps(facts), flush=True)
    send(request.get("reply", ""), facts)
    if listener is not None:
        with listener:
            serve(listener, request["nonce"])


def collect(request: Facts, open_page: Callable[[Facts], Facts]) -> Facts:
    """Return what can be seen from here; a part that fails is None, and has its error."""
    parts = {
        "host": socket.gethostname,
        "python": platform.python_version,
        "user": lambda: os.popen("id -un").read().strip(),  # noqa: S605
        "wrapper": lambda: which(request["wrapper"]),
        "server": lambda: which(request["server"]),
        "wrapper_error": lambda: cannot_run(which(request["wrapper"])),
        "path": lambda: os.environ.get("PATH", ""),
        "versions": lambda: versions(which(request["server"])),
        "home": check_home,
        "environment": lambda: {name: digest(name) for name, value in os.environ.items() if value},
        "hub": lambda: reach(request["api_url"]),
        "seen": lambda: exposed(request["secret"]),
        "page": lambda: open_page(request),
    }  # type: Dict[str, Callable[[], Any]]
    facts = {}  # type: Facts
    for name, part in parts.items():
        try:
            facts[name] = part()
        except Exception as error:  # noqa: BLE001  (whatever it is, the Hub must learn of it)
            facts[name] = None
            facts.setdefault("errors", {})[name] = "%s: %s" % (type(error).__name__, error)
    return facts


def digest(name: str) -> str:
    """Return what shows whether a variable of the Hub has its value; nothing for all others."""
    if not name.startswith("JUPYTERHUB_"):
        return ""
    return hashlib.sha256(os.environ[name].encode(errors="surrogateescape")).hexdigest()


def which(program: str) -> str:
    """Return the path of a program, even of one that may not be run here, or nothing."""
    folders = [""] if "/" in program else os.get_exec_path()
    places = (os.path.join(folder, program) for folder in folders)
    found = shutil.which(program)
    return found or next((place for place in places if os.path.isfile(place)), "")


def cannot_run(program: str) -> str:
    """Return why a program cannot be run: its interpreter may be missing."""
    if not program:
        return ""
    try:
        subprocess.run(
            [program, "--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except OSError as error:
        return error.strerror or str(error)
    return ""


def versions(server: str) -> Dict[str, str]:
    """Return the versions that the Python of a server's program has."""
    if not server:
        return {}
    with open(server, "rb") as file:
        first = file.readline(4096)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if not words or "python" not in words[-1]:
        return {}
    done = subprocess.run(
        [*words, "-c", VERSIONS, *WANTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    return dict(json.loads(done.stdout.decode()))


def check_home() -> Facts:
    """Return whether the home folder exists and is writable, and how much space it has."""
    home = os.path.expanduser("~")
    facts = {"path": home, "exists": True, "error": ""}  # type: Facts
    try:
        os.stat(home)
    except FileNotFoundError:
        facts["exists"] = False
        return facts
    except OSError as error:
        facts["error"] = error.strerror or str(error)
        return facts
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".batchspawner-check-"):
            facts["free_mb"] = shutil.disk_usage(home).free >> 20
    except OSError as error:
        facts["error"] = error.strerror or str(error)
    return facts


def reach(url: str) -> Facts:
    """Return which step on the way to the Hub's API was reached, and what went wrong."""
    where = urlsplit(url)
    facts = {"step": "name", "error": ""}  # type: Facts
    port = where.port or (443 if where.scheme == "https" else 80)
    try:
        address = socket.getaddrinfo(where.hostname, port, type=socket.SOCK_STREAM)[0][4][0]
        facts.update(step="connect", address=address)
        began = time.time()
        with socket.create_connection((str(where.hostname), port), TIMEOUT_S) as connected:
            facts.update(step="answer", connect_seconds=time.time() - began)
            facts["own_address"] = connected.getsockname()[0]
        if where.scheme == "http":
            query_hub(facts, str(where.hostname), port, where.path)
        else:
            facts.update(step="done")
    except (OSError, http.client.HTTPException) as error:
        facts["error"] = str(error) or type(error).__name__
    return facts


def query_hub(facts: Facts, host: str, port: int, path: str) -> None:
    """Add the Hub's version to the facts; everybody may ask for it."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        began = time.time()
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(4096).decode(errors="replace")
        facts.update(status=answer.status, answer_seconds=time.time() - began)
        try:
            facts.update(step="done", version=json.loads(text)["version"])
        except (ValueError, KeyError, TypeError):
            facts["error"] = "HTTP %d: %s" % (answer.status, text[:200])


def exposed(secret: str) -> List[str]:
    """Return the command lines on this node in which everybody can read the secret."""
    lines = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            words = file.read().split(b"\0")
            if any(secret.encode() in word for word in words):
                lines.append(" ".join(word.decode(errors="replace") for word in words)[:200])
    return lines


def listen(ports: List[int]) -> Any:
    """Listen on a port as a server would; return the socket, its port, and what went wrong."""
    first, last = ports or (0, 0)
    tries = [0] if not ports else random.sample(range(first, last + 1), min(200, last + 1 - first))
    problem = ""
    for port in tries:
        listener = socket.socket()
        try:
            listener.bind(("", port))
            listener.listen(5)
        except OSError as error:
            listener.close()
            problem = error.strerror or str(error)
        else:
            return listener, listener.getsockname()[1], ""
    return None, 0, problem


def send(url: str, facts: Facts) -> None:
    """Send the facts to the check; if that fails, it finds them in the log."""
    where = urlsplit(url)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("POST", where.path, json.dumps(facts))
            connection.getresponse()


def serve(listener: socket.socket, nonce: str) -> None:
    """Answer the Hub with the time on this node, until the lifetime is over."""
    end = time.time() + LIFETIME_S
    listener.settimeout(1)
    while time.time() < end:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(TIMEOUT_S)
                text = connection.recv(4096).decode(errors="replace")
                if text.startswith("GET /%s" % nonce):
                    body = json.dumps({"time": time.time()})
                    head = "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                    connection.sendall((head + body).encode())


def read_request(text: Optional[str] = None) -> Facts:
    """Return what this job has to check, from the hexadecimal JSON of its first argument.

    What follows the name of the wrapper is for the server: a script may have it behind {cmd}.
    """
    word = sys.argv[1] if text is None else text
    request = dict(json.loads(bytes.fromhex(word).decode()))
    request["command"] += "".join(" " + shlex.quote(one) for one in sys.argv[3:])
    return request
